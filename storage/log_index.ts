/**
 * One log in memory: where it begins and ends, and which of its offsets lie in
 * which journal value. 32 bytes for each journal value it is in.
 *
 * @module
 */

/** Where to look for an offset. */
export interface RangePlace {
  /** The journal value. */
  readonly seq: number;
  /** First offset in it. */
  readonly base: number;
  /** Offset behind the last one in it. */
  readonly end: number;
}

/** A log's ranges, oldest first, without gaps. */
export class LogIndex {
  /** The log's number. */
  readonly log: number;
  /** Offsets below are gone. */
  begin = 0;
  /** Next offset, counting what is not yet on disk. */
  end = 0;
  /** Next offset, counting only what is on disk. */
  committedEnd = 0;
  /** The open group that has it among its logs. */
  touchedBy = -1;
  /** Bytes ever appended, as far as known. */
  #bytesEver = 0;
  // One place per range; #bytesBefore is of the bytes ever appended.
  #seqs: number[] = [];
  #bases: number[] = [];
  #bytesBefore: number[] = [];
  #times: number[] = [];
  /** Ranges in front of this one are dropped. */
  #first = 0;

  /** An empty log. */
  constructor(log: number) {
    this.log = log;
  }

  /** Bytes of the ranges that hold anything not trimmed. */
  get bytes(): number {
    return this.isEmpty ? 0 : this.#bytesEver - this.#bytesBefore[this.#first];
  }

  /** Whether no journal value holds anything of it. */
  get isEmpty(): boolean {
    return this.#first === this.#seqs.length;
  }

  /** The newest journal value with something of it, or 0. */
  get lastSeq(): number {
    return this.isEmpty ? 0 : this.#seqs[this.#seqs.length - 1];
  }

  /**
   * Appends offsets.
   *
   * @returns Whether `seq` is a value that the log was not in before.
   */
  add(seq: number, count: number, bytes: number, time: number): boolean {
    const isNew = this.lastSeq !== seq;
    if (isNew) {
      this.#seqs.push(seq);
      this.#bases.push(this.end);
      this.#bytesBefore.push(this.#bytesEver);
      this.#times.push(time);
    } else {
      this.#times[this.#times.length - 1] = time;
    }
    this.end += count;
    this.#bytesEver += bytes;
    return isNew;
  }

  /** Makes offsets below `begin` gone; `onDropped` gets each value that holds nothing of the log any more. */
  trim(begin: number, onDropped: (seq: number) => void): void {
    this.begin = begin;
    while (!this.isEmpty && this.#endOf(this.#first) <= begin) {
      onDropped(this.#seqs[this.#first++]);
    }
    if (this.#first > 32 && this.#first * 2 > this.#seqs.length) this.#shrink();
  }

  /** The range that has `offset`, or the first one behind it. */
  find(offset: number): number {
    let low = this.#first;
    let high = this.#seqs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#endOf(middle) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The range at a place that {@link find} gave, or `null` behind the last. */
  at(place: number): RangePlace | null {
    if (place >= this.#seqs.length) return null;
    return {
      seq: this.#seqs[place],
      base: this.#bases[place],
      end: this.#endOf(place),
    };
  }

  /** Bytes of the range at `place`. */
  bytesAt(place: number): number {
    const behind = place + 1 < this.#seqs.length
      ? this.#bytesBefore[place + 1]
      : this.#bytesEver;
    return behind - this.#bytesBefore[place];
  }

  /** The place of the first range whose last time is at least `timeMs`. */
  placeOfTime(timeMs: number): number {
    return this.#search(this.#times, timeMs);
  }

  /** The range that lies in journal value `seq`. */
  inValue(seq: number): RangePlace | null {
    const range = this.at(this.#search(this.#seqs, seq));
    return range !== null && range.seq === seq ? range : null;
  }

  /** The highest offset at a range's border that leaves at least `keepBytes` behind it. */
  offsetKeeping(keepBytes: number): number {
    const limit = this.#bytesEver - keepBytes;
    // The last range that begins within what may go.
    let low = this.#first;
    let high = this.#seqs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#bytesBefore[middle] <= limit) low = middle + 1;
      else high = middle;
    }
    if (limit >= this.#bytesEver) return this.end;
    return low === this.#first ? this.begin : this.#bases[low - 1];
  }

  /** The highest offset at a range's border with all in front of it older than `timeMs`. */
  offsetBefore(timeMs: number): number {
    const range = this.at(this.placeOfTime(timeMs));
    return range === null ? this.end : range.base;
  }

  /** All its values, for when the log ends. */
  *seqs(): Iterable<number> {
    for (let i = this.#first; i < this.#seqs.length; i++) yield this.#seqs[i];
  }

  /** First place whose number in the sorted `column` is at least `wanted`. */
  #search(column: readonly number[], wanted: number): number {
    let low = this.#first;
    let high = column.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (column[middle] < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #endOf(place: number): number {
    return place + 1 < this.#seqs.length ? this.#bases[place + 1] : this.end;
  }

  #shrink(): void {
    this.#seqs = this.#seqs.slice(this.#first);
    this.#bases = this.#bases.slice(this.#first);
    this.#bytesBefore = this.#bytesBefore.slice(this.#first);
    this.#times = this.#times.slice(this.#first);
    this.#first = 0;
  }
}
