/** Steps of one order's life as an issuer and a station take them, over the wire. */
import { randomUUID } from 'node:crypto';
import assert from 'node:assert/strict';
import { type OrderView, type StationErrorCode, stationPaths, operatorPaths } from '@cardwright/protocol';
import { type ClientAnswer, type MtlsClient } from '@cardwright/runtime';
import { eventually } from './eventually.ts';
import {
  getToken,
  newCardId,
  orderBody,
  productionPath,
  type RunningServer,
  startServer,
  type ServerOptions,
  type World,
} from './server-fixture.ts';

type Json = Record<string, unknown>;

export const jsonOf = (answer: ClientAnswer): Json => JSON.parse(answer.body) as Json;

export interface ClaimedJob {
  readonly jobId: string;
  readonly operationId: string;
  readonly epoch: number;
  readonly armed: boolean;
  readonly payload?: string;
  readonly leaseExpiresAt: number;
}

export interface Ordered {
  readonly cardId: string;
  readonly operationId: string;
}

export interface Thread {
  readonly server: RunningServer;
  readonly issuer: MtlsClient;
  readonly station: MtlsClient;
  readonly secondStation: MtlsClient;
  readonly operator: MtlsClient;
  readonly token: string;
  /** Orders a card; the body's members may be changed. */
  order(changes?: Json, cardId?: string): Promise<Ordered>;
  post(client: MtlsClient, path: string, json: unknown): Promise<ClientAnswer>;
  get(client: MtlsClient, path: string): Promise<ClientAnswer>;
  claim(client?: MtlsClient): Promise<ClaimedJob | null>;
  /** Claims until there is a job. */
  claimJob(client?: MtlsClient): Promise<ClaimedJob>;
  arm(job: ClaimedJob, client?: MtlsClient): Promise<ClientAnswer>;
  report(job: ClaimedJob, report: Json, messageId?: string): Promise<ClientAnswer>;
  /** Reports the stages up to `last`, each started. */
  stages(job: ClaimedJob, ...stages: string[]): Promise<void>;
  /** What makes a card proven: its chip gets the script, and the vault confirms its cryptogram. */
  prove(job: ClaimedJob): Promise<void>;
  view(operationId: string): Promise<OrderView>;
  untilState(operationId: string, state: string): Promise<OrderView>;
  /** Empties the station's queue: every waiting job ends in doubt, which tells the issuer nothing. */
  drain(): Promise<void>;
  stop(): Promise<void>;
}

export const produced: Json = {
  kind: 'outcome',
  outcome: 'produced',
  personalizationSent: true,
  terminated: false,
  blanksPicked: 1,
  evidence: { counters: { before: 4, after: 5 } },
};

export const spoiled = (changes: Json = {}): Json => ({
  ...produced,
  outcome: 'spoiled',
  fault: 'CARD_JAM',
  personalizationSent: false,
  ...changes,
});

type ProofCall = readonly [path: string, body: Json];

/** The two calls that prove a card, without the epoch: release of the script, confirmation of the cryptogram. */
export const proofOf = (jobId: string): readonly [script: ProofCall, cryptogram: ProofCall] => [
  [
    stationPaths.chipScript(jobId),
    {
      ticket: 'a-ticket',
      chip: { atr: '3BE000FF8131FE4514', cplc: 'ABCD' },
      initializeUpdateResponse: '00112233445566778899',
    },
  ],
  [
    stationPaths.cryptogram(jobId),
    { cdol1Data: '00', cid: '80', atc: '0001', arqc: '0011223344556677', iad: '0F' },
  ],
];

export function assertStationError(answer: ClientAnswer, code: StationErrorCode, status: number): void {
  assert.equal(jsonOf(answer)['code'], code);
  assert.equal(answer.status, status);
}

/** Starts a server and gives hands to act with. */
export async function startThread(world: World, options: ServerOptions = {}): Promise<Thread> {
  const server = await startServer(world, options);
  const { parties } = world;
  const issuer = server.client('issuer', parties.issuerClient);
  const station = server.client('station', parties.station);
  const operator = server.client('operator', parties.operator);
  const token = await getToken(world, issuer, options.clock?.now());
  const bootId = randomUUID();

  const thread: Thread = {
    server,
    issuer,
    station,
    secondStation: server.client('station', parties.secondStation),
    operator,
    token,
    order: async (changes = {}, cardId = newCardId()) => {
      const json = await orderBody(world, changes);
      const answer = await thread.post(issuer, productionPath(cardId), json);
      assert.equal(answer.status, 202, answer.body);
      return { cardId, operationId: String(jsonOf(answer)['operationId']) };
    },
    post: (client, path, json) =>
      client.request({ method: 'POST', path, json, headers: { authorization: `Bearer ${token}` } }),
    get: (client, path) =>
      client.request({ method: 'GET', path, headers: { authorization: `Bearer ${token}` } }),
    claim: async (client = station) => {
      const answer = await client.request({
        method: 'POST',
        path: stationPaths.claim,
        json: { bootId, agentVersion: '0.1.0' },
      });
      assert.equal(answer.status, 200, answer.body);
      return jsonOf(answer)['job'] as ClaimedJob | null;
    },
    claimJob: (client = station) => eventually('a job in the queue', () => thread.claim(client)),
    arm: (job, client = station) =>
      client.request({ method: 'POST', path: stationPaths.arm(job.jobId), json: { epoch: job.epoch } }),
    report: (job, report, messageId = randomUUID()) =>
      station.request({
        method: 'POST',
        path: stationPaths.reports(job.jobId),
        json: { messageId, epoch: job.epoch, at: Date.now(), report },
      }),
    stages: async (job, ...stages) => {
      for (const stage of stages) {
        const answer = await thread.report(job, { kind: 'stage', stage, status: 'started' });
        assert.equal(answer.status, 200, answer.body);
      }
    },
    prove: async (job) => {
      const { jobId, epoch } = job;
      for (const [path, body] of proofOf(jobId)) {
        const answer = await thread.post(station, path, { epoch, ...body });
        assert.equal(answer.status, 200, answer.body);
      }
    },
    view: async (operationId) => {
      const answer = await operator.request({ method: 'GET', path: operatorPaths.order(operationId) });
      assert.equal(answer.status, 200, answer.body);
      return JSON.parse(answer.body) as OrderView;
    },
    untilState: (operationId, state) =>
      eventually(`order ${state}`, async () => {
        const view = await thread.view(operationId);
        return view.state === state ? view : undefined;
      }),
    drain: async () => {
      for (let job = await thread.claim(); job !== null; job = await thread.claim()) {
        if (!job.armed) await thread.arm(job);
        await thread.report(job, { ...produced, outcome: 'in_doubt', fault: 'OUTCOME_UNKNOWN' });
      }
    },
    stop: () => server.stop(),
  };
  return thread;
}
