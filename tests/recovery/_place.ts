/**
 * A broker and a daemon on folders, over a network in memory: each can be ended,
 * backed up, restored, copied and started again at the same address.
 *
 * @module
 */

import { Broker, type ConnectOptions, Daemon, Mom } from "../../mod.ts";
import { systemClock, systemEntropy } from "../../protocol/clock.ts";
import { MemoryNetwork } from "../../transport/memory.ts";
import { backupStore } from "../../storage/backup.ts";
import { restoreStore } from "../../storage/restore.ts";
import { eventually } from "../helpers/eventually.ts";
import { TempFolder } from "../helpers/temp_folder.ts";

const BROKER = "127.0.0.1:7000";
const DAEMON = "127.0.0.1:8000";
const TOKEN = "0123456789abcdef0123456789abcdef";

/** A place with one broker and one machine. */
export class Place implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly folder: TempFolder;
  #broker: Broker | null = null;
  #daemon: Daemon | null = null;
  readonly #handles: Mom[] = [];
  readonly #others: AsyncDisposable[] = [];

  private constructor(folder: TempFolder) {
    this.folder = folder;
  }

  /** Starts broker and daemon. */
  static async start(): Promise<Place> {
    const place = new Place(await TempFolder.make());
    await place.startBroker();
    await place.startDaemon();
    return place;
  }

  get broker(): Broker {
    if (this.#broker === null) throw new Error("There is no broker");
    return this.#broker;
  }

  get daemon(): Daemon {
    if (this.#daemon === null) throw new Error("There is no daemon");
    return this.#daemon;
  }

  /** The broker's folder. */
  get data(): string {
    return `${this.folder.path}/broker`;
  }

  /** The daemon's folder. */
  get machine(): string {
    return `${this.folder.path}/north`;
  }

  async startBroker(): Promise<void> {
    this.#broker = await Broker.start({
      data: this.data,
      token: TOKEN,
      listener: this.network.listen(BROKER),
    });
  }

  async stopBroker(): Promise<void> {
    await this.#broker?.stop();
    this.#broker = null;
  }

  async startDaemon(): Promise<void> {
    this.#daemon = await this.openDaemon(this.machine, DAEMON);
  }

  async stopDaemon(): Promise<void> {
    await this.#daemon?.stop();
    this.#daemon = null;
  }

  /** A daemon of the machine on some folder; ended with the place if nobody ends it before. */
  async openDaemon(data: string, address: string): Promise<Daemon> {
    const daemon = await Daemon.start({
      broker: BROKER,
      listen: { port: 0 },
      data,
      machine: "north",
      token: TOKEN,
      brokerToken: TOKEN,
      dialer: this.network,
      listener: this.network.listen(address),
    });
    this.#others.push(daemon);
    return daemon;
  }

  /** Backs up the broker's store, which is closed for it: this is one process. */
  async backup(file = "backup"): Promise<void> {
    await this.stopBroker();
    const path = `${this.folder.path}/${file}`;
    await backupStore({ data: this.data, role: "broker", file: path });
    await this.startBroker();
    await this.linked();
  }

  /** Ends the broker, restores its store and starts it again. */
  async restore(file = "backup"): Promise<void> {
    await this.stopBroker();
    await restoreStore({
      file: `${this.folder.path}/${file}`,
      data: this.data,
      role: "broker",
      entropy: systemEntropy,
      wallMs: systemClock.wallMs(),
    });
    await this.startBroker();
    await this.linked();
  }

  /** Waits until the daemon has its link, if there is a daemon. */
  async linked(): Promise<void> {
    await eventually("the link", () => {
      return this.#daemon === null ||
        this.#daemon.status().link?.state === "up";
    });
  }

  /**
   * Waits until so many messages are in the daemon's custody, as the broker knows
   * too: what a handle at the daemon asks the broker comes behind that.
   */
  async custody(messages: number): Promise<void> {
    await eventually(`${messages} messages in custody`, () => {
      return this.daemon.status().inbox?.messages === messages;
    });
    const mom = await this.connect("custody");
    // Each is on the daemon's disk before it is answered, behind what was there.
    for (let n = 0; n < 2; n++) {
      await mom.subscribe("nothing");
      await mom.unsubscribe("nothing");
    }
    await mom.destroy();
  }

  /** Waits until everything that was taken is confirmed. */
  async confirmed(): Promise<void> {
    await eventually("nothing pending", () => {
      return this.broker.status().totals.pending === 0;
    });
  }

  /** A handle at the daemon. */
  async connect(name: string, options: ConnectOptions = {}): Promise<Mom> {
    return await this.#connect({ daemon: DAEMON, name, ...options });
  }

  /** A handle at the broker. */
  async connectDirectly(name: string): Promise<Mom> {
    return await this.#connect({ broker: BROKER, name });
  }

  async #connect(options: ConnectOptions): Promise<Mom> {
    const mom = await Mom.connect({
      token: TOKEN,
      dialer: this.network,
      ...options,
    });
    this.#handles.push(mom);
    return mom;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#handles.map((mom) => mom.close()));
    for (const each of this.#others) await each[Symbol.asyncDispose]();
    await this.stopBroker();
    await this.folder[Symbol.asyncDispose]();
  }
}
