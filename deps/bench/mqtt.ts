/**
 * MQTT from JavaScript: what the bench uses of it.
 *
 * @module
 */

import { loadPackage } from "./load_package.ts";

/** A connection. */
export interface MqttClient {
  publish(
    topic: string,
    payload: Uint8Array,
    options: { qos: 0 | 1 },
    callback: (error?: Error | null) => void,
  ): unknown;
  subscribeAsync(topic: string, options: { qos: 0 | 1 }): Promise<unknown>;
  endAsync(): Promise<void>;
  on(
    event: "message",
    listener: (topic: string, payload: Uint8Array) => void,
  ): unknown;
  once(event: "connect", listener: () => void): unknown;
  once(event: "error", listener: (error: Error) => void): unknown;
}

/** `mqtt`. */
export interface MqttModule {
  connect(url: string, options: {
    clientId: string;
    clean: boolean;
    reconnectPeriod: number;
  }): MqttClient;
}

/** The version, told beside the rates. */
export const MQTT_PACKAGE = "npm:mqtt@5.16.0";

/** Loads the client. */
export const loadMqtt = async (): Promise<MqttModule> =>
  (await loadPackage<{ default: MqttModule }>(MQTT_PACKAGE)).default;
