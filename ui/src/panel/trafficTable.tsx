// Rates of traffic as a small table, and the neighbours that it comes from and goes to.
import type { ComponentChildren } from "preact";
import type { Http, Tcp, Traffic } from "../api/types";
import { describeTraffic, nodeName } from "../model/describe";
import { byteRate, latency, number, percent, rate } from "../model/format";
import { explainFlags } from "../model/kinds";
import { clean } from "../model/text";
import { isIdle, tcpFailedShare } from "../model/traffic";
import { HealthMark } from "../ui/widgets";
import type { Neighbour } from "./selection";

export function TrafficTable({ traffic, caption }: { traffic: Traffic; caption: string }) {
  if (isIdle(traffic)) return null;
  return (
    <table class="facts">
      <caption>{caption}</caption>
      <tbody>
        {traffic.http && <HttpRows name="HTTP" unit="req" h={traffic.http} />}
        {traffic.grpc && <HttpRows name="gRPC" unit="rpc" h={traffic.grpc} />}
        {traffic.tcp && <TcpRows tcp={traffic.tcp} />}
      </tbody>
    </table>
  );
}

function Row({ name, children, bad }: { name: string; children: ComponentChildren; bad?: boolean }) {
  return (
    <tr class={bad ? "bad" : ""}>
      <th scope="row">{name}</th>
      <td>{children}</td>
    </tr>
  );
}

function HttpRows({ name, unit, h }: { name: string; unit: string; h: Http }) {
  const codes = counted(h.codes).slice(0, 8);
  return (
    <>
      <Row name={`${name} requests`}>{rate(h.requests, unit)}</Row>
      <Row name="Errors" bad={h.errorShare > 0}>
        {percent(h.errorShare)}
      </Row>
      {h.latency && (
        <Row name="Latency p50 / p95 / p99">{`${latency(h.latency.p50)} / ${latency(h.latency.p95)} / ${latency(h.latency.p99)}`}</Row>
      )}
      <Row name="Bytes in / out">{`${byteRate(h.requestBytes)} / ${byteRate(h.responseBytes)}`}</Row>
      {codes.length > 0 && (
        <Row name="Codes">{codes.map(([code, n]) => `${clean(code, 12)}: ${number(n)}/s`).join(", ")}</Row>
      )}
      <Flags flags={h.flags} />
    </>
  );
}

function TcpRows({ tcp }: { tcp: Tcp }) {
  return (
    <>
      <Row name="TCP connections">{rate(tcp.opened, "conn")}</Row>
      <Row name="Open now">{number(tcp.active)}</Row>
      {tcp.failed > 0 && (
        <Row name="Failed" bad>{`${rate(tcp.failed, "conn")} (${percent(tcpFailedShare(tcp))})`}</Row>
      )}
      <Row name="Bytes sent / received">{`${byteRate(tcp.sent)} / ${byteRate(tcp.received)}`}</Row>
      <Flags flags={tcp.flags} />
    </>
  );
}

/** Those of which there were any, the most first. */
function counted(rates: Record<string, number>): [string, number][] {
  return Object.entries(rates)
    .filter(([, n]) => n > 0)
    .sort((a, b) => b[1] - a[1]);
}

function Flags({ flags }: { flags: Record<string, number> }) {
  const all = counted(flags).slice(0, 6);
  return (
    <>
      {all.map(([flag, n]) => (
        <Row key={flag} name={`Flags ${clean(flag, 24)}`} bad>
          {`${number(n)}/s`} <small class="muted">{explainFlags(flag)}</small>
        </Row>
      ))}
    </>
  );
}

const MOST = 12;

export function Neighbours({
  title,
  list,
  choose,
}: {
  title: string;
  list: Neighbour[];
  choose(id: string): void;
}) {
  if (list.length === 0) return null;
  const sorted = [...list].sort((a, b) => weight(b) - weight(a));
  return (
    <section>
      <h3>{title}</h3>
      <ul class="neighbours">
        {sorted.slice(0, MOST).map(({ edge, node }) => (
          <li key={edge.id}>
            <button type="button" onClick={() => choose(edge.id)} title="Select this edge">
              <HealthMark state={edge.health.state} text={false} />
              <span class="grow">{node ? nodeName(node) : clean(edge.id)}</span>
              <small>{describeTraffic(edge.traffic)}</small>
            </button>
          </li>
        ))}
      </ul>
      {list.length > MOST && <p class="muted">and {list.length - MOST} more: the table lists them all</p>}
    </section>
  );
}

function weight({ edge }: Neighbour): number {
  const order = { failing: 3e9, degraded: 2e9, healthy: 0, idle: 0 }[edge.health.state];
  return (
    order +
    (edge.traffic.http?.requests ?? 0) +
    (edge.traffic.grpc?.requests ?? 0) +
    (edge.traffic.tcp?.opened ?? 0)
  );
}
