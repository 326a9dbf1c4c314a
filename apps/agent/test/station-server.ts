/**
 * A station server inside a test: the real protocol over real mutual TLS, with just enough dispatch to hold one
 * queue of jobs. Every message is checked against its schema; what it took is kept for the test to look at.
 */
import { type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { type AddressInfo } from 'node:net';
import { type Plan } from '@cardwright/dataprep';
import {
  canMove,
  handOverTransitions,
  type HandOverState,
  type JobState,
  jobStateOfStage,
  jobTransitions,
} from '@cardwright/domain';
import {
  ArmRequest,
  check,
  ChipScriptRequest,
  ClaimRequest,
  CryptogramEvidence,
  Report,
  type StationErrorCode,
  stationErrors,
  stationPaths,
  type StationPayload,
} from '@cardwright/protocol';
import { mtlsServerOptions } from '@cardwright/runtime';
import { type JWK } from 'jose';
import { type TSchema } from 'typebox';
import { encryptPayload, type TestVault } from './test-vault.ts';
import { type CertificateFiles } from './test-pki.ts';

export interface ServedJob {
  readonly jobId: string;
  readonly plan: Plan;
  state: JobState;
  handOver: HandOverState;
  epoch: number;
  readonly reports: Report[];
  /** Changes to the payload, to make it wrong on purpose. */
  readonly payloadChanges: Partial<StationPayload>;
}

export interface StationServerOptions {
  readonly tls: CertificateFiles;
  readonly clientCaFile: string;
  readonly stationId: string;
  readonly payloadKey: JWK;
  readonly vault: TestVault;
}

interface Refused {
  readonly code: StationErrorCode;
}
const refuse = (code: StationErrorCode): Refused => ({ code });
const isRefused = (value: unknown): value is Refused =>
  typeof value === 'object' && value !== null && Object.keys(value).join() === 'code';

export class StationServer {
  readonly jobs: ServedJob[] = [];
  /** Paths as they were asked, in order. */
  readonly asked: string[] = [];
  /** Every second matching answer is lost, by dropping the connection after the work was done. */
  loseAnswers: RegExp | undefined;
  #isLosing = false;
  /** Refuses requests before any work. */
  refuseWith: ((path: string) => StationErrorCode | undefined) | undefined;
  /** Answers everything with this body and status 200. */
  answerWith: string | undefined;
  readonly #options: StationServerOptions;
  readonly #server: Server;
  readonly #bells = new Set<ServerResponse>();
  readonly #watchers = new Set<() => void>();
  readonly #seen = new Set<string>();

  constructor(options: StationServerOptions) {
    this.#options = options;
    const tls = mtlsServerOptions({ ...options.tls, clientCaFile: options.clientCaFile });
    this.#server = createServer(tls, (request, response) => {
      void this.#serve(request, response);
    });
  }

  async listen(port = 0): Promise<number> {
    await new Promise<void>((resolve) => {
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const bell of this.#bells) bell.destroy();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }

  addJob(plan: Plan, payloadChanges: Partial<StationPayload> = {}): ServedJob {
    const job: ServedJob = {
      jobId: `job-${this.jobs.length + 1}`,
      plan,
      state: 'queued',
      handOver: 'none',
      epoch: 0,
      reports: [],
      payloadChanges,
    };
    this.jobs.push(job);
    this.ring();
    return job;
  }

  ring(): void {
    for (const bell of this.#bells) bell.write('event: doorbell\ndata: {}\n\n');
  }

  /** Drops every event stream, as a restart would. */
  hangUp(): void {
    for (const bell of this.#bells) bell.destroy();
  }

  get openBells(): number {
    return this.#bells.size;
  }

  /** Resolves when `condition` holds after something happened here. @throws after `limitMs` */
  until(what: string, condition: () => boolean, limitMs = 30_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!condition()) return;
        this.#watchers.delete(look);
        clearTimeout(limit);
        resolve();
      };
      const limit = setTimeout(() => {
        this.#watchers.delete(look);
        reject(new Error(`waited ${limitMs} ms for ${what}`));
      }, limitMs);
      this.#watchers.add(look);
      look();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    this.asked.push(path);
    if (path === stationPaths.events) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('event: doorbell\ndata: {}\n\n');
      this.#bells.add(response);
      response.on('close', () => this.#bells.delete(response));
      this.#changed();
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    if (this.answerWith !== undefined) {
      response.end(this.answerWith);
      return;
    }
    const refusal = this.refuseWith?.(path);
    const result =
      refusal === undefined
        ? await this.#answer(path, JSON.parse(Buffer.concat(chunks).toString()))
        : refuse(refusal);
    const canBeLost = this.loseAnswers?.test(path) === true;
    if (canBeLost) this.#isLosing = !this.#isLosing;
    if (canBeLost && this.#isLosing) {
      request.socket.destroy();
    } else if (isRefused(result)) {
      response.writeHead(stationErrors[result.code].httpStatus, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ code: result.code, message: 'refused by the test' }));
    } else {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(result));
    }
    this.#changed();
  }

  #changed(): void {
    for (const look of [...this.#watchers]) look();
  }

  #answer(path: string, body: unknown): unknown {
    if (path === stationPaths.claim) return this.#checked(ClaimRequest, body, () => this.#claim());
    const jobId = path.split('/')[4] ?? '';
    const job = this.jobs.find((one) => one.jobId === jobId);
    if (job === undefined) return refuse('UNKNOWN_JOB');
    switch (path) {
      case stationPaths.arm(jobId):
        return this.#checked(ArmRequest, body, ({ epoch }) => this.#arm(job, epoch));
      case stationPaths.chipBegin(jobId):
        return this.#checked(ArmRequest, body, () => this.#options.vault.begin());
      case stationPaths.chipScript(jobId):
        return this.#checked(ChipScriptRequest, body, async ({ ticket, initializeUpdateResponse }) => {
          const answer = await this.#options.vault.script(job.plan, ticket, initializeUpdateResponse);
          return typeof answer === 'string' ? refuse('CHIP_REFUSED') : answer;
        });
      case stationPaths.cryptogram(jobId):
        return this.#checked(CryptogramEvidence, body, (evidence) =>
          this.#options.vault.confirm(job.plan, evidence),
        );
      case stationPaths.reports(jobId):
        return this.#checked(Report, body, (report) => this.#take(job, report));
      default:
        return refuse('BAD_MESSAGE');
    }
  }

  #checked<S extends TSchema>(
    schema: S,
    body: unknown,
    work: (value: Extract<ReturnType<typeof check<S>>, { ok: true }>['value']) => unknown,
  ): unknown {
    const result = check(schema, body);
    return result.ok ? work(result.value) : refuse('BAD_MESSAGE');
  }

  async #claim(): Promise<unknown> {
    const ended: readonly JobState[] = ['produced', 'spoiled', 'in_doubt', 'withdrawn'];
    const job = this.jobs.find((one) => !ended.includes(one.state));
    if (job === undefined) return { job: null };
    const common = {
      jobId: job.jobId,
      operationId: 'op-1',
      productId: 'DEBIT_STD',
      leaseExpiresAt: Date.now() + 60_000,
    };
    if (job.state !== 'queued' && job.state !== 'leased') {
      return { job: { ...common, epoch: job.epoch, armed: true } };
    }
    if (job.state === 'queued') job.epoch += 1;
    job.state = 'leased';
    const { plan, epoch } = job;
    const payload: StationPayload = {
      jobId: job.jobId,
      stationId: this.#options.stationId,
      epoch,
      expiresAt: Date.now() + 60_000,
      design: plan.design,
      isTestCard: plan.isTestCard,
      print: plan.print,
      verification: plan.verification,
      ...job.payloadChanges,
    };
    return {
      job: {
        ...common,
        epoch,
        armed: false,
        payload: await encryptPayload(this.#options.payloadKey, payload),
      },
    };
  }

  #arm(job: ServedJob, epoch: number): unknown {
    if (job.epoch !== epoch) return refuse('STALE_EPOCH');
    if (job.state === 'leased') job.state = 'armed';
    return job.state === 'queued' ? refuse('NOT_LEASED') : { armed: true };
  }

  #take(job: ServedJob, message: Report): unknown {
    if (this.#seen.has(message.messageId)) return { acknowledged: true, duplicate: true };
    if (job.epoch !== message.epoch) return refuse('STALE_EPOCH');
    const { report } = message;
    if (report.kind === 'hand_over') {
      if (!canMove(handOverTransitions, job.handOver, report.state)) return refuse('BAD_MESSAGE');
      job.handOver = report.state;
    } else {
      const to = report.kind === 'outcome' ? report.outcome : jobStateOfStage[report.stage];
      const moves = report.kind === 'outcome' || report.status === 'started';
      if (moves && !canMove(jobTransitions, job.state, to)) return refuse('BAD_MESSAGE');
      if (moves) job.state = to;
    }
    this.#seen.add(message.messageId);
    job.reports.push(message);
    return { acknowledged: true, duplicate: false };
  }
}
