/**
 * The opening of a conversation, both sides (PROTOCOL 3).
 *
 * @module
 */

import type { ByteStream } from "./byte_stream.ts";
import type { Clock, Entropy } from "./clock.ts";
import { isErrorCode, MomError } from "./errors.ts";
import { agreed, FEATURES } from "./features.ts";
import type { Heartbeats } from "./heartbeats.ts";
import { frameBytesMax, LIMITS } from "./limits.ts";
import { EPOCH_MAX } from "./log_id.ts";
import {
  type Auth,
  type ErrorMessage,
  type Hello,
  type Message,
  PROTOCOL_VERSION,
  type Welcome,
} from "./messages.ts";
import { Peer, type PeerHandlers } from "./peer.ts";
import type { Unread } from "./unread.ts";
import { SOFTWARE } from "./version.ts";

/** What both sides of an opening stand on. */
interface OpeningOptions {
  clock: Clock;
  entropy: Entropy;
  heartbeats: Heartbeats;
  /** The token's text; `null`: the server asks for none, the client has none. */
  token: string | null;
  /**
   * The optional features that this side knows (PROTOCOL 3.8).
   *
   * @default {all of them}
   */
  features?: readonly string[];
}

/** Stands for all that comes in place of a proof. */
const NO_PROOF: Auth = { type: "AUTH", proof: new Uint8Array(0) };

/** The server's side of an opening. */
export interface AcceptOptions extends OpeningOptions {
  /** Largest message in bytes, of which the frame limit after WELCOME follows. */
  maxMessageBytes: number;
  /** What all clients have not read. */
  unread?: Unread;
  /**
   * Decides on a client that has proved itself; its answer is what is sent.
   *
   * @throws {MomError} The client gets the error and the connection ends.
   */
  admit(hello: Hello): WelcomeFields | Promise<WelcomeFields>;
  /** Called right after WELCOME was sent, with what follows. */
  handlers(peer: Peer, hello: Hello): PeerHandlers;
}

/** WELCOME without what the opening itself knows. */
export type WelcomeFields = Omit<
  Welcome,
  | "type"
  | "version"
  | "software"
  | "features"
  | "heartbeatMs"
  | "maxMessageBytes"
>;

/** HELLO without what the opening itself knows. */
export type HelloFields = Omit<
  Hello,
  "type" | "versionMin" | "versionMax" | "software" | "nonce" | "features"
>;

/** The client's side of an opening. */
export interface ConnectOptions extends OpeningOptions {
  hello: HelloFields;
  /** Called right after WELCOME was received, with what follows. */
  handlers(peer: Peer, welcome: Welcome): PeerHandlers;
}

/** A conversation that is open. `done` settles when it is over. */
export interface Opened {
  peer: Peer;
  done: Promise<void>;
}

/**
 * Runs the server's side of an opening.
 *
 * @returns The open conversation, or `null` when it came to nothing.
 */
export async function acceptPeer(
  stream: ByteStream,
  options: AcceptOptions,
): Promise<Opened | null> {
  const peer = new Peer({
    ...options,
    stream,
    frameBytesMax: LIMITS.helloFrameBytes,
    isServer: true,
    isOpening: true,
  });
  const inbound = new Opening(peer, options.clock);
  const done = peer.run(inbound);
  try {
    const hello = expectType(await inbound.next(), "HELLO");
    checkVersion(hello);
    if (options.token !== null) {
      // Copied: the message is a view on what was read.
      const client = hello.nonce.slice();
      const server = options.entropy.bytes(16);
      peer.send({ type: "CHALLENGE", nonce: server });
      const answer = await inbound.nextAnswer();
      await checkProof(options.token, client, server, proofIn(answer));
    }
    const fields = await options.admit(hello);
    if (peer.isClosed) return await ended(done);
    const features = agreed(options.features ?? FEATURES, hello.features);
    peer.features = new Set(features);
    peer.frameBytesMax = frameBytesMax(options.maxMessageBytes);
    peer.send({
      type: "WELCOME",
      version: PROTOCOL_VERSION,
      software: SOFTWARE,
      features,
      heartbeatMs: options.heartbeats.intervalMs,
      maxMessageBytes: options.maxMessageBytes,
      ...fields,
    });
    inbound.become(options.handlers(peer, hello));
    return { peer, done };
  } catch (error) {
    inbound.stop();
    if (!(error instanceof MomError)) {
      peer.abort();
      throw error;
    }
    peer.fail(error);
    return await ended(done);
  }
}

async function ended(done: Promise<void>): Promise<null> {
  await done;
  return null;
}

/**
 * Runs the client's side of an opening.
 *
 * @throws {MomError} What the server answered; `daemon_unavailable` when the
 *   connection ended or the server kept silent for 5 s.
 */
export async function connectPeer(
  stream: ByteStream,
  options: ConnectOptions,
): Promise<Opened & { welcome: Welcome }> {
  const peer = new Peer({
    ...options,
    stream,
    frameBytesMax: LIMITS.helloFrameBytes,
    isOpening: true,
  });
  const inbound = new Opening(peer, options.clock);
  const done = peer.run(inbound);
  const nonce = options.entropy.bytes(16);
  const features = options.features ?? FEATURES;
  peer.send({
    type: "HELLO",
    versionMin: PROTOCOL_VERSION,
    versionMax: PROTOCOL_VERSION,
    software: SOFTWARE,
    nonce,
    features: [...features],
    ...options.hello,
  });
  try {
    let answer = await inbound.next();
    if (answer.type === "CHALLENGE") {
      if (options.token === null) {
        throw new MomError(
          "unauthorized",
          `Cannot connect to ${peer.remote}: it wants a token`,
        );
      }
      const proof = await prove(options.token, nonce, answer.nonce);
      peer.send({ type: "AUTH", proof });
      answer = await inbound.next();
    }
    const welcome = expectWelcome(answer);
    checkWelcome(welcome);
    peer.features = new Set(agreed(features, welcome.features));
    peer.frameBytesMax = frameBytesMax(welcome.maxMessageBytes);
    inbound.become(options.handlers(peer, welcome));
    return { peer, welcome, done };
  } catch (error) {
    inbound.stop();
    peer.abort();
    await done;
    throw error;
  }
}

/** Messages of an opening, one after another, within its 5 s (PROTOCOL 3.4). */
class Opening implements PeerHandlers {
  #peer: Peer;
  #queue: Message[] = [];
  #waiting: PromiseWithResolvers<Message> | null = null;
  #resume: (() => void) | null = null;
  #ended: MomError | null = null;
  /** What comes next is to be the answer to CHALLENGE. */
  #isChallenged = false;
  #timer: { cancel(): void };

  constructor(peer: Peer, clock: Clock) {
    this.#peer = peer;
    this.#timer = clock.setTimer(LIMITS.helloMs, () => {
      const late = new MomError(
        "daemon_unavailable",
        `Connection to ${peer.remote} given up: no WELCOME within ${LIMITS.helloMs} ms`,
      );
      this.onClose(late);
      peer.abort(late);
    });
  }

  /** Reading rests until this message has been asked for: nothing gathers. */
  onMessage(message: Message): Promise<void> | void {
    if (this.#waiting !== null) {
      this.#waiting.resolve(message);
      this.#waiting = null;
    } else this.#queue.push(message);
    return new Promise((resolve) => this.#resume = resolve);
  }

  /** Any answer to CHALLENGE that is no AUTH is a wrong one, and answered like one. */
  onMisfit(): boolean {
    if (!this.#isChallenged || this.#waiting === null) return false;
    this.#waiting.resolve(NO_PROOF);
    this.#waiting = null;
    return true;
  }

  onClose(reason: MomError | null): void {
    this.stop();
    this.#ended = reason ??
      new MomError(
        "daemon_unavailable",
        `Connection to ${this.#peer.remote} ended before WELCOME`,
      );
    this.#waiting?.reject(this.#ended);
    this.#waiting = null;
  }

  async next(): Promise<Message> {
    const queued = this.#queue.shift();
    if (queued !== undefined) return queued;
    if (this.#ended !== null) throw this.#ended;
    this.#waiting = Promise.withResolvers();
    const message = this.#waiting.promise;
    this.#goOn();
    return await message;
  }

  /** The answer to CHALLENGE. */
  async nextAnswer(): Promise<Message> {
    this.#isChallenged = true;
    return await this.next();
  }

  /** The opening is over: the handlers of the conversation take its place. */
  become(handlers: PeerHandlers): void {
    this.#peer.handle(handlers);
    this.#peer.open();
    this.stop();
  }

  stop(): void {
    this.#timer.cancel();
    this.#goOn();
  }

  #goOn(): void {
    this.#resume?.();
    this.#resume = null;
  }
}

/** What the client waits for, or what the server says is wrong. */
function expectWelcome(message: Message): Welcome {
  if (message.type === "ERROR") throw asMomError(message);
  return expectType(message, "WELCOME");
}

function expectType<T extends "HELLO" | "WELCOME">(
  message: Message,
  type: T,
): Extract<Message, { type: T }> {
  if (message.type === type) return message as Extract<Message, { type: T }>;
  throw new MomError(
    "bad_message",
    `Cannot open the conversation: got ${message.type} instead of ${type}`,
  );
}

/** An ERROR as what it says. */
export function asMomError(message: ErrorMessage): MomError {
  const code = isErrorCode(message.code) ? message.code : "internal";
  return new MomError(code, message.message);
}

function checkVersion(hello: Hello): void {
  if (
    hello.versionMin <= PROTOCOL_VERSION && hello.versionMax >= PROTOCOL_VERSION
  ) return;
  throw new MomError(
    "protocol_version",
    `Cannot talk to ${hello.software}: it speaks versions ${hello.versionMin} to ${hello.versionMax}, this side ${PROTOCOL_VERSION}`,
  );
}

/** What a server says of itself must be something that this side can live with. */
function checkWelcome({ version, maxMessageBytes, epoch }: Welcome): void {
  if (version !== PROTOCOL_VERSION) {
    throw new MomError(
      "protocol_version",
      `Cannot talk to this server: it chose version ${version}, this side speaks ${PROTOCOL_VERSION}`,
    );
  }
  if (epoch < 1 || epoch > EPOCH_MAX) {
    throw new MomError(
      "bad_message",
      `Cannot talk to this server: its epoch is ${epoch}, must be 1 to ${EPOCH_MAX}`,
    );
  }
  if (
    maxMessageBytes >= 1 && maxMessageBytes <= LIMITS.announcedMessageBytes
  ) return;
  throw new MomError(
    "bad_message",
    `Cannot talk to this server: it announces messages of ${maxMessageBytes} bytes, at most ${LIMITS.announcedMessageBytes} are taken`,
  );
}

const utf8 = new TextEncoder();

async function hmacKey(token: string): Promise<CryptoKey> {
  // An empty key is refused by Web Crypto; an empty token proves nothing anyway.
  const raw = utf8.encode(token === "" ? "\0" : token);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return await crypto.subtle.importKey("raw", raw, algorithm, false, ["sign"]);
}

function proofInput(
  client: Uint8Array,
  server: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const input = new Uint8Array(36);
  input.set(utf8.encode("mom1"));
  input.set(client, 4);
  input.set(server, 20);
  return input;
}

async function prove(
  token: string,
  client: Uint8Array,
  server: Uint8Array,
): Promise<Uint8Array> {
  const key = await hmacKey(token);
  return new Uint8Array(
    await crypto.subtle.sign("HMAC", key, proofInput(client, server)),
  );
}

/** What stands in an AUTH; nothing for any other message. */
function proofIn(answer: Message): Uint8Array {
  return answer.type === "AUTH" ? answer.proof : NO_PROOF.proof;
}

/**
 * The same steps for every wrong proof, of whatever length: neither the answer nor
 * its time tells what is wrong (PROTOCOL 3.2).
 */
async function checkProof(
  token: string,
  client: Uint8Array,
  server: Uint8Array,
  given: Uint8Array,
): Promise<void> {
  const proof = given.slice();
  const expected = await prove(token, client, server);
  let difference = proof.length ^ expected.length;
  for (let i = 0; i < expected.length; i++) {
    difference |= (proof[i] ?? 0) ^ expected[i];
  }
  if (difference === 0) return;
  throw new MomError(
    "unauthorized",
    "Cannot connect: the proof does not fit the token",
  );
}
