/**
 * The agent's side of the station protocol: one method per server resource, nothing about jobs' lives.
 *
 * Invariants: the server is believed by its pinned CA only; every answer is checked against its schema before it
 * is used, and an answer that cannot be read counts as lost, not as a refusal. Every call may be repeated: the
 * protocol is idempotent.
 */
import {
  ArmAnswer,
  check,
  ChipBeginAnswer,
  ChipScriptAnswer,
  type ChipScriptRequest,
  ClaimAnswer,
  type ClaimRequest,
  type CryptogramEvidence,
  CryptogramVerdict,
  parseStrictJson,
  type Report,
  ReportAnswer,
  StationError,
  type StationJob,
  stationPaths,
} from '@cardwright/protocol';
import { type MtlsClient } from '@cardwright/runtime';
import { type Static, type TSchema } from 'typebox';
import { LinkFault, stationFailure } from './station-error.ts';

/** All methods throw `StationRefusal` or `LinkFault`. */
export interface StationLink {
  /** The station's current job, else the next in its queue, else null. */
  claim(request: ClaimRequest): Promise<StationJob | null>;
  arm(jobId: string, epoch: number): Promise<void>;
  beginChip(jobId: string, epoch: number): Promise<ChipBeginAnswer>;
  releaseScript(jobId: string, request: ChipScriptRequest): Promise<ChipScriptAnswer>;
  confirmCryptogram(jobId: string, evidence: CryptogramEvidence): Promise<CryptogramVerdict>;
  report(jobId: string, report: Report): Promise<ReportAnswer>;
  /** Server-sent events; the iteration ends when the server closes the stream. */
  events(signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

function linkFaultOf(error: unknown): LinkFault {
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (typeof code === 'string') return new LinkFault(code);
  return new LinkFault(typeof name === 'string' ? name : 'UNKNOWN');
}

function errorCodeOf(body: string): string | undefined {
  const parsed = parseStrictJson(body);
  const checked = parsed.ok ? check(StationError, parsed.value) : undefined;
  return checked?.ok === true ? checked.value.code : undefined;
}

/** The station link over one mutual TLS client. */
export function createStationLink(client: MtlsClient): StationLink {
  const post = async <S extends TSchema>(path: string, json: unknown, schema: S): Promise<Static<S>> => {
    const answer = await client.request({ method: 'POST', path, json }).catch((error: unknown) => {
      throw linkFaultOf(error);
    });
    if (answer.status !== 200) throw stationFailure(answer.status, errorCodeOf(answer.body));
    const parsed = parseStrictJson(answer.body);
    const checked = parsed.ok ? check(schema, parsed.value) : undefined;
    if (checked?.ok !== true) throw new LinkFault('UNREADABLE');
    return checked.value;
  };
  return {
    claim: async (request) => (await post(stationPaths.claim, request, ClaimAnswer)).job,
    arm: async (jobId, epoch) => {
      await post(stationPaths.arm(jobId), { epoch }, ArmAnswer);
    },
    beginChip: (jobId, epoch) => post(stationPaths.chipBegin(jobId), { epoch }, ChipBeginAnswer),
    releaseScript: (jobId, request) => post(stationPaths.chipScript(jobId), request, ChipScriptAnswer),
    confirmCryptogram: (jobId, evidence) => post(stationPaths.cryptogram(jobId), evidence, CryptogramVerdict),
    report: (jobId, report) => post(stationPaths.reports(jobId), report, ReportAnswer),
    events: (signal) =>
      client.stream(stationPaths.events, { signal }).catch((error: unknown) => {
        throw linkFaultOf(error);
      }),
  };
}
