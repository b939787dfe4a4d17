/**
 * Names: which shard a resource belongs to, and which topics belong to a shard.
 *
 * @module
 */

/** Bytes of a client's id, which stands in hex. */
export const CLIENT_ID_BYTES = 16;

const encoder = new TextEncoder();

/** A resource's name as it is kept: case does not count. */
export function canonicalName(name: string): string {
  return name.toUpperCase();
}

/**
 * The shard of a resource, from 1 to `of`: FNV-1a with 32 bits over the UTF-8 of
 * the upper-case name, modulo `of`, plus 1.
 */
export function shardOf(name: string, of: number): number {
  let hash = 0x811c9dc5;
  for (const byte of encoder.encode(canonicalName(name))) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return (hash >>> 0) % of + 1;
}

/**
 * The coordinators that have a shard, the first to answer first: shard `s` lies on
 * `s`, `s − 1`, … around the ring.
 */
export function replicasOf(
  shard: number,
  of: number,
  replicas: number,
): number[] {
  const count = Math.min(of, replicas);
  return Array.from(
    { length: count },
    (_, rank) => (shard - 1 - rank + of) % of + 1,
  );
}

/** The shards of a coordinator. */
export function shardsOf(
  coordinator: number,
  of: number,
  replicas: number,
): number[] {
  const all = Array.from({ length: of }, (_, index) => index + 1);
  return all.filter((shard) =>
    replicasOf(shard, of, replicas).includes(coordinator)
  );
}

/** The topics of one set of coordinators; two sets may share a broker. */
export class TopicNames {
  readonly #root: string;
  readonly #set: string;

  /**
   * @param of How many coordinators there are.
   * @param group The name of the set; none if `""`.
   */
  constructor(of: number, group: string) {
    this.#root = group === "" ? "coordinator" : `coordinator/${group}`;
    this.#set = `${this.#root}/${of}`;
  }

  /** Everything that happens to a shard, in order. */
  log(shard: number): string {
    return `${this.#set}/${shard}/log`;
  }

  /** A shard's state now and then. */
  snapshot(shard: number): string {
    return `${this.#set}/${shard}/snapshot`;
  }

  /** What a client is answered. */
  reply(client: string): string {
    return `${this.#root}/reply/${client}`;
  }

  /** Where a coordinator hears that it has received all that was there before. */
  start(coordinator: number): string {
    return `${this.#set}/start/${coordinator}`;
  }
}

/** The mom user of a coordinator. */
export function coordinatorUser(
  coordinator: number,
  of: number,
  group: string,
): string {
  const parts = ["coordinator", group, of, coordinator];
  return parts.filter((part) => part !== "").join("-");
}
