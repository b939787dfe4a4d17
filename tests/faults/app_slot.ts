/**
 * One app of a fault run over all its lives.
 *
 * @module
 */

import { within } from "../helpers/eventually.ts";
import type { Cluster } from "../process/cluster.ts";
import { testCommand } from "../process/commands.ts";
import { Program } from "../process/program.ts";
import type {
  AppCommand,
  AppEvent,
  AppSettings,
  WriteJob,
} from "./app_protocol.ts";
import type { Role } from "./cast.ts";
import { type LifeNotes, readNotes } from "./notes.ts";

/** How long an app may take to connect and to finish a job. */
const EVENT_WITHIN_MS = 30_000;

/** What the settings of an app need beside its role. */
export interface AppSlotOptions {
  /** Where an app without a daemon finds the broker. */
  directAddress: string;
  /** @default {that of every day} */
  heartbeatMs?: number;
}

/** A place for one life after another. */
export class AppSlot implements AsyncDisposable {
  /** Who it is. */
  readonly role: Role;
  /** How many lives it had. */
  lives = 0;
  readonly #cluster: Cluster;
  readonly #options: AppSlotOptions;
  #program: Program | null = null;

  /**
   * Starts nothing yet.
   *
   * @param options What its settings need beside its role.
   */
  constructor(role: Role, cluster: Cluster, options: AppSlotOptions) {
    this.role = role;
    this.#cluster = cluster;
    this.#options = options;
  }

  /** The name of the present life. */
  get life(): string {
    return `${this.role.name}.${this.lives}`;
  }

  /** The process that runs, or ran last. */
  get program(): Program {
    if (this.#program === null) throw new Error(`${this.life} never started`);
    return this.#program;
  }

  /** Begins a new life; `ready` waits until it is connected and subscribed. */
  launch(): void {
    this.lives++;
    this.#program = new Program({
      name: `app ${this.life}`,
      command: testCommand("tests/faults/app.ts"),
      args: [JSON.stringify(this.#settings())],
      env: this.#cluster.env,
    });
  }

  /** Waits until the app is connected. Whether it lived so long. */
  async ready(): Promise<boolean> {
    return await this.#expect("ready");
  }

  /** Has the app write. Whether it lived until it had an answer to everything. */
  async write(job: Omit<WriteJob, "do">): Promise<boolean> {
    await this.#tell({ do: "write", ...job });
    return await this.#expect("written", job.durationMs + EVENT_WITHIN_MS);
  }

  /** Has the app close its handle and end. */
  async end(): Promise<void> {
    await this.#tell({ do: "end" });
    if (!await this.#expect("ended")) throw this.#deathOf();
    await this.program.ended;
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.program.kill();
  }

  /** The notes of all lives. */
  async notes(): Promise<LifeNotes[]> {
    const all: LifeNotes[] = [];
    for (let number = 1; number <= this.lives; number++) {
      const life = `${this.role.name}.${number}`;
      try {
        all.push({ life, notes: await readNotes(this.#notesPath(life)) });
      } catch (error) {
        // Killed before it could open them.
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    return all;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.[Symbol.asyncDispose]();
  }

  #settings(): AppSettings {
    const { name, machine, filters, style, ackEvery, pauseEvery } = this.role;
    const where = machine === null
      ? {
        broker: this.#options.directAddress,
        tokenOf: this.#cluster.brokerAddress,
      }
      : { daemon: this.#cluster.daemonAddress(machine) };
    const notes = this.#notesPath(this.life);
    const isFirst = this.lives === 1;
    const how = { filters, isFirst, style, ackEvery, pauseEvery };
    const { heartbeatMs } = this.#options;
    return { life: this.life, name, ...where, notes, heartbeatMs, ...how };
  }

  #notesPath(life: string): string {
    return `${this.#cluster.folder.path}/notes-${life}`;
  }

  async #tell(command: AppCommand): Promise<void> {
    await this.program.writeLine(JSON.stringify(command));
  }

  /** Whether the next event is the one expected; false when the life ended. */
  async #expect(
    event: AppEvent["event"],
    withinMs: number = EVENT_WITHIN_MS,
  ): Promise<boolean> {
    const { program } = this;
    const line = await within(
      `"${event}" of ${program.name}; stderr: ${program.stderr}`,
      withinMs,
      program.lines.next(),
    );
    if (line !== null) {
      const told: AppEvent = JSON.parse(line);
      if (told.event === event) return true;
      throw new Error(`${program.name}: ${line} instead of "${event}"`);
    }
    const { signal } = await program.ended;
    if (signal !== "SIGKILL") throw this.#deathOf();
    return false;
  }

  #deathOf(): Error {
    const { name, stderr } = this.program;
    return new Error(`${name} ended by itself: ${stderr}`);
  }
}
