/**
 * One app of the soak over all its lives; what it tells goes into the ledger.
 *
 * @module
 */

import { within } from "../helpers/eventually.ts";
import type { Cluster } from "../process/cluster.ts";
import { testCommand } from "../process/commands.ts";
import { Program } from "../process/program.ts";
import { outcomeOf } from "../faults/notes.ts";
import type { SoakAppSettings, SoakCommand, SoakLine } from "./app_lines.ts";
import { type SoakRole, TOPICS } from "./cast.ts";
import type { Ledger } from "./ledger.ts";

/** How long an app may take to connect, and to have an outcome of everything. */
const EVENT_WITHIN_MS = 60_000;

type Event = "ready" | "rested" | "ended";

/** Codes that a publish may end with while programs are killed. */
const EXPECTED = ["daemon_unavailable", "outcome_unknown"];

/** A place for one life after another. */
export class Player implements AsyncDisposable {
  /** Who it is. */
  readonly role: SoakRole;
  readonly #cluster: Cluster;
  readonly #ledger: Ledger;
  #lives = 0;
  #program: Program | null = null;
  #listening: Promise<void> = Promise.resolve();
  #waiting = new Map<Event, () => void>();

  /** Starts nothing yet. */
  constructor(role: SoakRole, cluster: Cluster, ledger: Ledger) {
    this.role = role;
    this.#cluster = cluster;
    this.#ledger = ledger;
  }

  /** The process that runs, or ran last. */
  get program(): Program {
    if (this.#program === null) throw new Error("Not started yet");
    return this.#program;
  }

  /** Begins a new life and waits until it is connected and subscribed. */
  async start(): Promise<void> {
    this.#lives++;
    const life = `${this.role.name}.${this.#lives}`;
    this.#ledger.begin(this.role.name);
    const program = this.#program = new Program({
      name: `app ${life}`,
      command: testCommand("tests/soak/app.ts"),
      args: [JSON.stringify(this.#settings(life))],
      env: this.#cluster.env,
    });
    this.#listening = this.#listen(program, life);
    await this.#expect("ready");
  }

  /** Has it write; `null`: as fast as it goes. */
  async write(rate: number | null): Promise<void> {
    if (this.role.isWriter) await this.#tell({ do: "write", rate });
  }

  /** Has it stop writing; resolves when everything has its outcome. */
  async rest(): Promise<void> {
    await this.#tell({ do: "rest" });
    await this.#expect("rested");
  }

  /** SIGKILL; resolves when all that it told is in the ledger. */
  async kill(): Promise<void> {
    await this.program.kill();
    await this.#listening;
  }

  /** Has it close its handle and end. */
  async end(): Promise<void> {
    await this.#tell({ do: "end" });
    await this.#expect("ended");
    await this.program.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.[Symbol.asyncDispose]();
    await this.#listening;
  }

  #settings(life: string): SoakAppSettings {
    const { name, machine, filter, isManual, isWriter } = this.role;
    const where = machine === null
      ? { broker: this.#cluster.brokerAddress }
      : { daemon: this.#cluster.daemonAddress(machine) };
    const isFirst = this.#lives === 1;
    const topics = isWriter ? TOPICS : [];
    return { life, name, ...where, filter, isFirst, isManual, topics };
  }

  async #tell(command: SoakCommand): Promise<void> {
    await this.program.writeLine(JSON.stringify(command));
  }

  async #expect(event: Event): Promise<void> {
    const { name } = this.program;
    const told = new Promise<void>((resolve) =>
      this.#waiting.set(event, resolve)
    );
    try {
      await within(`"${event}" of ${name}`, EVENT_WITHIN_MS, told);
    } catch (error) {
      throw new Error(`${error}; stderr: ${this.program.stderr}`);
    }
  }

  async #listen(program: Program, life: string): Promise<void> {
    while (true) {
      const text = await program.lines.next();
      if (text === null) return;
      // The last line of a killed process may be cut: it announced what never was.
      if (!text.endsWith("}")) continue;
      this.#hear(JSON.parse(text), life);
    }
  }

  #hear(line: SoakLine, life: string): void {
    const ledger = this.#ledger;
    const { name } = this.role;
    switch (line.told) {
      case "tries":
        return ledger.tries(life, line.topic, line.to);
      case "receipts":
        return ledger.receipts(life, line.topic, line.ranges);
      case "failure":
        return this.#fail(line, life);
      case "takes":
        return ledger.takes(name, line.runs);
      case "settled":
        return ledger.settled(name, line.runs);
      case "broken":
        return ledger.add(`broken: ${life}: ${line.text}`);
      default:
        this.#waiting.get(line.told)?.();
    }
  }

  #fail(line: SoakLine & { told: "failure" }, life: string): void {
    const { topic, counter, code } = line;
    if (outcomeOf(code) === "refused") {
      this.#ledger.refused(life, topic, counter);
    }
    if (EXPECTED.includes(code)) return;
    this.#ledger.add(`broken: ${life}: ${topic} ${counter}: ${code}`);
  }
}
