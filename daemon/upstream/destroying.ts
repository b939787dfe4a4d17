/**
 * The broker is told of users that ended here, now or when there is a link.
 *
 * @module
 */

import { MomError } from "../../protocol/errors.ts";
import type { Logger } from "../../program/log.ts";
import type { Commits } from "../commits.ts";
import { Destroys } from "./destroys.ts";
import type { LinkedUsers } from "./linked_users.ts";
import type { UpstreamLink } from "./upstream_link.ts";
import type { User } from "../user/user.ts";

/** What destroying stands on. */
export interface DestroyingContext {
  readonly commits: Commits;
  readonly link: UpstreamLink;
  readonly logger: Logger;
  readonly users: LinkedUsers;
}

/** Sends the DESTROYs of this machine. */
export class UpstreamDestroying {
  readonly #context: DestroyingContext;
  readonly #destroys: Destroys;

  constructor(context: DestroyingContext) {
    this.#context = context;
    this.#destroys = new Destroys(context.commits);
  }

  /** Users that ended and that the broker does not know of yet. */
  get count(): number {
    return this.#destroys.size;
  }

  /** Takes over what was stored. */
  load(entries: Map<number, Uint8Array>): void {
    this.#destroys.load(entries);
  }

  /** A user ended. */
  destroy({ name, brokerIncarnation, named }: User): void {
    const { key } = this.#destroys.add(name, brokerIncarnation, named);
    this.#context.commits.whenDone(() => this.#send(key));
  }

  /** There is a link. */
  linkUp(): void {
    this.#context.commits.whenDone(() => {
      for (const key of this.#destroys.keys()) this.#send(key);
    });
  }

  /** The broker may have any of them again. */
  reopen(): void {
    this.#destroys.reopen();
  }

  #send(key: number): void {
    const { link, logger, users } = this.#context;
    const destroy = this.#destroys.get(key);
    if (destroy === undefined || link.port === null) return;
    const request = link.ask({
      onOk: () => this.#destroys.done(key),
      onError: (error) => {
        if (error instanceof MomError) return;
        logger.warn("destroy_refused", {
          user: destroy.name,
          code: error.code,
        });
      },
    });
    const { name, incarnation } = destroy;
    // Asked again without an answer it may find the user that has the name by now.
    const unless = incarnation === null
      ? users.byName(name)?.incarnation
      : undefined;
    link.port.send({ type: "DESTROY", request, name, incarnation, unless });
  }
}
