/**
 * A status report as Prometheus text (format 0.0.4).
 *
 * @module
 */

import type {
  BoxStatus,
  DeliveryCounts,
  PublishCounts,
  StatusReport,
} from "./status.ts";

/** The content type of the text. */
export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

type Kind = "counter" | "gauge";
type Labels = Readonly<Record<string, string>>;

/** Metrics by name, each with its samples. */
class MetricsText {
  readonly #families = new Map<string, string[]>();

  add(
    name: string,
    kind: Kind,
    help: string,
    value: number,
    labels: Labels = {},
  ): void {
    let lines = this.#families.get(name);
    if (lines === undefined) {
      lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`];
      this.#families.set(name, lines);
    }
    lines.push(`${name}${formatLabels(labels)} ${value}`);
  }

  toString(): string {
    return [...this.#families.values()].flat().join("\n") + "\n";
  }
}

/** The report as text, one metric a line. */
export function toMetrics(report: StatusReport): string {
  const text = new MetricsText();
  const { version, role, store, totals } = report;
  text.add("mom_info", "gauge", "What runs here", 1, { version, role });
  text.add(
    "mom_uptime_seconds",
    "gauge",
    "Since when it runs",
    report.uptimeMs / 1000,
  );
  text.add("mom_store_bytes", "gauge", "Disk space of the store", store.bytes);
  text.add("mom_store_position", "gauge", "Last commit", store.position);
  text.add("mom_store_epoch", "gauge", "Epoch of the store", store.epoch);
  addPublishes(text, "mom_messages", totals);
  addDeliveries(text, "mom_deliveries", totals);
  for (const [reason, value] of Object.entries(totals.droppedReasons)) {
    const help = "Messages given up, by reason";
    text.add("mom_dropped_total", "counter", help, value, { reason });
  }
  addSessions(text, report);
  addBox(text, "mom_outbox", "for the broker", report.outbox);
  addBox(text, "mom_inbox", "for apps", report.inbox);
  if (report.link !== null) {
    const isUp = report.link.state === "up" ? 1 : 0;
    text.add("mom_link_up", "gauge", "Whether the broker is linked", isUp);
  }
  for (const { topic, ...counts } of report.topics) {
    addPublishes(text, "mom_topic", counts, { topic });
  }
  for (const { user, filter, topic, ...counts } of report.subscriptions) {
    addDeliveries(text, "mom_subscription", counts, { user, filter, topic });
  }
  return text.toString();
}

function addPublishes(
  text: MetricsText,
  prefix: string,
  counts: PublishCounts,
  labels: Labels = {},
): void {
  const { published, stored, trimmed } = counts;
  const add = (name: string, kind: Kind, help: string, value: number) =>
    text.add(`${prefix}_${name}`, kind, help, value, labels);
  add("published_total", "counter", "Messages accepted", published);
  add("stored", "gauge", "Messages in the log", stored);
  add("trimmed_total", "counter", "Messages no longer in the log", trimmed);
}

function addDeliveries(
  text: MetricsText,
  prefix: string,
  counts: DeliveryCounts,
  labels: Labels = {},
): void {
  const add = (name: string, kind: Kind, help: string, value: number) =>
    text.add(`${prefix}_${name}`, kind, help, value, labels);
  const { matched, delivered, pending, deadLettered, expired } = counts;
  add("matched_total", "counter", "Messages asked for", matched);
  add("delivered_total", "counter", "Messages acknowledged by apps", delivered);
  add("pending", "gauge", "Messages not yet acknowledged", pending);
  add("dead_lettered_total", "counter", "Messages put aside", deadLettered);
  add("expired_total", "counter", "Messages whose time was up", expired);
  add("dropped_total", "counter", "Messages given up", counts.dropped);
  add("own_total", "counter", "Own messages, not echoed", counts.own);
}

function addSessions(text: MetricsText, report: StatusReport): void {
  const byRole = { app: 0, daemon: 0 };
  for (const session of report.sessions) byRole[session.role]++;
  for (const [role, value] of Object.entries(byRole)) {
    text.add("mom_sessions", "gauge", "Open connections", value, { role });
  }
}

function addBox(
  text: MetricsText,
  prefix: string,
  forWhom: string,
  box: BoxStatus | null,
): void {
  if (box === null) return;
  const add = (name: string, help: string, value: number) =>
    text.add(
      `${prefix}_${name}`,
      "gauge",
      `${help} that wait ${forWhom}`,
      value,
    );
  add("messages", "Messages", box.messages);
  add("bytes", "Bytes of messages", box.bytes);
  add("oldest_seconds", "Age of the oldest of messages", box.oldestMs / 1000);
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) =>
    `${name}="${escapeLabel(value)}"`
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')
    .replaceAll("\n", "\\n");
}
