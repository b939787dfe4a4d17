/**
 * Topics with a schema: what is published to them is checked before it is sent,
 * what is received from them before it is handed over, and both have a type.
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import { checkTopic } from "../../protocol/topics.ts";
import type { Message } from "./message.ts";

/** What a schema says of a value. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** What is wrong with a value. */
export interface SchemaIssue {
  /** In words. */
  readonly message: string;
  /** Where in the value. */
  readonly path?:
    | readonly (PropertyKey | { readonly key: PropertyKey })[]
    | undefined;
}

/**
 * A schema of any library that follows Standard Schema (valibot, zod, arktype
 * and others). See https://standardschema.dev.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** The part that all such libraries share. */
  readonly "~standard": {
    /** Version of the convention. */
    readonly version: 1;
    /** Name of the library. */
    readonly vendor: string;
    /** Checks a value. */
    readonly validate: (
      value: unknown,
    ) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    /** Types for the compiler alone. */
    readonly types?:
      | { readonly input: Input; readonly output: Output }
      | undefined;
  };
}

/**
 * A topic with a schema; taken wherever a topic's name is. Made by
 * {@linkcode topic}.
 *
 * @example
 * ```ts
 * import { TypedTopic } from "./typed_topic.ts";
 *
 * const anything = {
 *   "~standard": {
 *     version: 1 as const,
 *     vendor: "example",
 *     validate: (value: unknown) => ({ value }),
 *   },
 * };
 * const doors = new TypedTopic("museum/doors/1", anything);
 * if (`${doors}` !== "museum/doors/1") throw doors;
 * ```
 */
export class TypedTopic<Input = unknown, Output = Input> {
  /** The topic. */
  readonly name: string;
  /** What its values are checked with. */
  readonly schema: StandardSchema<Input, Output>;

  /**
   * Makes a typed topic, as {@linkcode topic} does.
   *
   * @param name An exact topic.
   * @param schema What its values are checked with.
   * @throws {MomError} `topic_invalid`.
   * @throws {TypeError} If `schema` is no Standard Schema.
   */
  constructor(name: string, schema: StandardSchema<Input, Output>) {
    checkTopic(name);
    if (typeof schema?.["~standard"]?.validate !== "function") {
      throw new TypeError(
        `Cannot make topic "${name}": the schema is no Standard Schema`,
      );
    }
    this.name = name;
    this.schema = schema;
  }

  /**
   * Whether a message is of this topic, and so has its type of value.
   *
   * @example
   * ```ts
   * import { Broker, Mom, topic } from "../../mod.ts";
   *
   * const count = {
   *   "~standard": {
   *     version: 1 as const,
   *     vendor: "example",
   *     validate: (value: unknown) =>
   *       typeof value === "number"
   *         ? { value }
   *         : { issues: [{ message: "expected a number" }] },
   *   },
   * };
   * const visitors = topic("museum/visitors", count);
   * await using broker = await Broker.start({ port: 0, data: ":memory:" });
   * await using ana = await Mom.connect({ broker: broker.address, name: "ana" });
   * await using ben = await Mom.connect({ broker: broker.address });
   * await ana.subscribe(visitors);
   * await ben.publish(visitors, 12);
   * const message = await ana.receive({ timeoutMs: 5_000 });
   * if (message === null || !visitors.is(message)) throw message;
   * const value: number | undefined = message.value;
   * if (value !== 12) throw value;
   * ```
   */
  is(message: Message): message is Message<Output> {
    return message.topic === this.name;
  }

  /** The topic's name. */
  toString(): string {
    return this.name;
  }
}

/**
 * Makes a typed topic.
 *
 * Publishing checks the value and sends it as it is given; a value that does not
 * fit is refused with `value_unsupported`. A handle that subscribes with the typed
 * topic checks what it receives from it and hands over what the schema makes of
 * it; a message that does not fit becomes a dead letter, and receiving goes on.
 *
 * @param name An exact topic.
 * @param schema Any Standard Schema.
 * @throws {MomError} `topic_invalid`.
 * @throws {TypeError} If `schema` is no Standard Schema.
 *
 * @example
 * ```ts
 * import { topic } from "./typed_topic.ts";
 *
 * const isOpen = {
 *   "~standard": {
 *     version: 1 as const,
 *     vendor: "example",
 *     validate: (value: unknown) =>
 *       typeof value === "boolean"
 *         ? { value }
 *         : { issues: [{ message: "expected a boolean" }] },
 *   },
 * };
 * const doors = topic("museum/doors/1", isOpen);
 * if (doors.name !== "museum/doors/1") throw doors;
 * ```
 */
export function topic<Input, Output>(
  name: string,
  schema: StandardSchema<Input, Output>,
): TypedTopic<Input, Output> {
  return new TypedTopic(name, schema);
}

/** The name behind a topic of either kind. */
export function topicName(topic: string | TypedTopic): string {
  return topic instanceof TypedTopic ? topic.name : topic;
}

/**
 * Makes sure that a value to be published fits.
 *
 * @returns A promise only when the schema's answer is one.
 * @throws {MomError} `value_unsupported`, naming the first issue.
 */
export function checkValue(
  topic: TypedTopic,
  value: unknown,
): void | Promise<void> {
  const result = topic.schema["~standard"].validate(value);
  if (result instanceof Promise) {
    return result.then((settled) => requireFit(topic.name, settled));
  }
  requireFit(topic.name, result);
}

/**
 * As {@linkcode checkValue}, for many.
 *
 * @throws {MomError} `value_unsupported` for the first that does not fit.
 */
export function checkValues(
  topic: TypedTopic,
  values: readonly unknown[],
): void | Promise<void> {
  const verdicts = values.map((value) => checkValue(topic, value));
  if (verdicts.every((verdict) => verdict === undefined)) return;
  return Promise.all(verdicts).then(() => {});
}

/**
 * What a schema says of a value that was received. One that throws has not said yes.
 *
 * @returns A promise, which never rejects, only when the schema's answer is one.
 */
export function judge(
  schema: StandardSchema,
  value: unknown,
): SchemaResult<unknown> | Promise<SchemaResult<unknown>> {
  try {
    const result = schema["~standard"].validate(value);
    return result instanceof Promise ? result.catch(refuse) : result;
  } catch {
    return refuse();
  }
}

function refuse(): SchemaResult<never> {
  return { issues: [] };
}

function requireFit(name: string, result: SchemaResult<unknown>): void {
  if (result.issues === undefined) return;
  const [issue] = result.issues;
  const path = issue?.path?.map((step) =>
    String(typeof step === "object" ? step.key : step)
  ).join(".");
  const where = path ? ` at ${path}` : "";
  throw new MomError(
    "value_unsupported",
    `Cannot publish to "${name}": the value does not fit the schema${where}: ${
      issue?.message ?? "no reason given"
    }`,
  );
}
