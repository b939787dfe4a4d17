/**
 * The drivers by name. Each is loaded only where it is used: a peer's needs
 * packages of its own.
 *
 * @module
 */

import type { Driver, DriverName } from "../connection.ts";

const DRIVERS: Record<DriverName, () => Promise<Driver>> = {
  "mom": async () => (await import("./mom_driver.ts")).connectMom,
  "nats-core": async () =>
    (await import("../peers/nats_driver.ts")).connectNats,
  "jetstream": async () =>
    (await import("../peers/jetstream_driver.ts")).connectJetStream,
  "jetstream-raw": async () =>
    (await import("../peers/jetstream_driver.ts")).connectRawJetStream,
  "redis": async () => (await import("../peers/redis_driver.ts")).connectRedis,
  "mosquitto-qos0": async () =>
    (await import("../peers/mqtt_driver.ts")).connectMqtt0,
  "mosquitto-qos1": async () =>
    (await import("../peers/mqtt_driver.ts")).connectMqtt1,
};

/** Loads one. */
export async function loadDriver(name: DriverName): Promise<Driver> {
  return await DRIVERS[name]();
}
