/**
 * Bytes within one process: a connected pair, and a network of named listeners
 * whose connections can be stopped and cut. For tests and simulations; it behaves
 * as sockets do, with a bounded buffer each way.
 *
 * @module
 */

import {
  type AddressLike,
  formatAddress,
  isUnixAddress,
  parseAddress,
} from "../protocol/address.ts";
import type {
  ByteListener,
  ByteStream,
  Dialer,
} from "../protocol/byte_stream.ts";
import { MomError } from "../protocol/errors.ts";
import { MemoryPipe } from "./memory_pipe.ts";

/** Options of {@linkcode memoryPair} and {@linkcode MemoryNetwork}. */
export interface MemoryOptions {
  /**
   * Bytes that wait in one direction before a writer waits.
   *
   * @default {262144}
   */
  bufferBytesMax?: number;
  /**
   * At most so many bytes a read: 1 takes a stream apart byte by byte.
   *
   * @default {65536}
   */
  readBytesMax?: number;
}

/** One end of a connection in memory. */
class MemoryStream implements ByteStream {
  readonly remote: string;
  readonly isLocal = true;
  readonly #incoming: MemoryPipe;
  readonly #outgoing: MemoryPipe;

  constructor(remote: string, incoming: MemoryPipe, outgoing: MemoryPipe) {
    this.remote = remote;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  read(): Promise<Uint8Array | null> {
    return this.#incoming.read();
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      await this.#outgoing.write(bytes);
    } catch (cause) {
      throw new Error(
        `Cannot write to "${this.remote}": ${(cause as Error).message}`,
        { cause },
      );
    }
  }

  close(): void {
    this.#incoming.abandon();
    this.#outgoing.end();
  }
}

/** Both ends of a connection, and what can happen to it on the way. */
export class MemoryConnection {
  /** The address that was dialled. */
  readonly address: string;
  /** The end that connected. */
  readonly client: ByteStream;
  /** The end that was accepted. */
  readonly server: ByteStream;
  readonly #pipes: readonly [MemoryPipe, MemoryPipe];

  /** Makes a connection to `address`. */
  constructor(address: string, options: MemoryOptions = {}) {
    const toServer = new MemoryPipe(options);
    const toClient = new MemoryPipe(options);
    this.address = address;
    this.client = new MemoryStream(address, toClient, toServer);
    this.server = new MemoryStream("memory", toServer, toClient);
    this.#pipes = [toServer, toClient];
  }

  /** Whether nothing will ever happen to it any more. */
  get isSpent(): boolean {
    return this.#pipes.every((pipe) => pipe.isSpent);
  }

  /** Ends the connection at once; what was on the way is lost. */
  cut(): void {
    for (const pipe of this.#pipes) pipe.cut();
  }

  /** From now on nothing arrives, either way, and nobody is told. */
  pause(): void {
    for (const pipe of this.#pipes) pipe.pause();
  }

  /** What was held back arrives. */
  resume(): void {
    for (const pipe of this.#pipes) pipe.resume();
  }
}

/** Two ends of one connection; what one writes the other reads. */
export function memoryPair(
  options: MemoryOptions = {},
): [ByteStream, ByteStream] {
  const { client, server } = new MemoryConnection("memory", options);
  return [client, server];
}

/** A network of its own: listeners by address, and the connections to them. */
export class MemoryNetwork implements Dialer {
  readonly #options: MemoryOptions;
  readonly #listeners = new Map<string, MemoryListener>();
  readonly #connections = new Set<MemoryConnection>();
  #nextPort = 40_000;
  #isDown = false;

  /** @param options Hold for all its connections. */
  constructor(options: MemoryOptions = {}) {
    this.#options = options;
  }

  /** The connections that are not over, oldest first. */
  get connections(): MemoryConnection[] {
    for (const connection of this.#connections) {
      if (connection.isSpent) this.#connections.delete(connection);
    }
    return [...this.#connections];
  }

  /**
   * Listens on an address of any kind; port 0 takes a free one.
   *
   * @throws {MomError} `option_invalid` if the address is taken.
   */
  listen(address: AddressLike): ByteListener {
    const text = formatAddress(this.#toFree(address));
    if (this.#listeners.has(text)) {
      throw new MomError(
        "option_invalid",
        `Cannot listen on "${text}": address in use`,
      );
    }
    const listener = new MemoryListener(
      text,
      () => this.#listeners.delete(text),
    );
    this.#listeners.set(text, listener);
    return listener;
  }

  /** Connects once; rejects if nobody listens there or the network is down. */
  async dial(
    address: AddressLike,
    options: { signal?: AbortSignal } = {},
  ): Promise<ByteStream> {
    options.signal?.throwIfAborted();
    const text = formatAddress(parseAddress(address));
    // As with a socket, the answer never comes in the same turn.
    await Promise.resolve();
    options.signal?.throwIfAborted();
    const listener = this.#listeners.get(text);
    if (listener === undefined || this.#isDown) {
      throw new Error(`Cannot connect to "${text}": connection refused`);
    }
    const connection = new MemoryConnection(text, this.#options);
    this.#connections.add(connection);
    listener.offer(connection.server);
    return connection.client;
  }

  /** Cuts every connection, or those to one address. */
  cut(address?: AddressLike): void {
    for (const connection of this.#select(address)) connection.cut();
  }

  /** Stops every connection, or those to one address: silence, no end. */
  pause(address?: AddressLike): void {
    for (const connection of this.#select(address)) connection.pause();
  }

  /** Lets what {@linkcode MemoryNetwork.pause} held back arrive. */
  resume(address?: AddressLike): void {
    for (const connection of this.#select(address)) connection.resume();
  }

  /** Cuts all connections and refuses new ones until {@linkcode MemoryNetwork.up}. */
  down(): void {
    this.#isDown = true;
    this.cut();
  }

  /** Takes new connections again. */
  up(): void {
    this.#isDown = false;
  }

  #select(address?: AddressLike): MemoryConnection[] {
    if (address === undefined) return this.connections;
    const text = formatAddress(parseAddress(address));
    return this.connections.filter((each) => each.address === text);
  }

  #toFree(address: AddressLike): AddressLike {
    const where = parseAddress(address);
    if (isUnixAddress(where) || where.port !== 0) return where;
    return { hostname: where.hostname, port: this.#nextPort++ };
  }
}

class MemoryListener implements ByteListener {
  readonly address: string;
  readonly #onClose: () => void;
  readonly #waiting: ByteStream[] = [];
  readonly #acceptors: ((stream: ByteStream | null) => void)[] = [];
  #isClosed = false;

  constructor(address: string, onClose: () => void) {
    this.address = address;
    this.#onClose = onClose;
  }

  offer(stream: ByteStream): void {
    const acceptor = this.#acceptors.shift();
    if (acceptor === undefined) this.#waiting.push(stream);
    else acceptor(stream);
  }

  accept(): Promise<ByteStream | null> {
    if (this.#isClosed) return Promise.resolve(null);
    const stream = this.#waiting.shift();
    if (stream !== undefined) return Promise.resolve(stream);
    return new Promise((resolve) => this.#acceptors.push(resolve));
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClose();
    for (const acceptor of this.#acceptors.splice(0)) acceptor(null);
    // Nobody will accept these; their clients see the end, as with a socket.
    for (const stream of this.#waiting.splice(0)) stream.close();
  }
}
