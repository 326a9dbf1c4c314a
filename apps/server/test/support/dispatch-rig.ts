/** One server with a station, a vault and a clock of its own for each test of a `describe` block. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach } from 'node:test';
import { stationPaths } from '@cardwright/protocol';
import { type ClientAnswer } from '@cardwright/runtime';
import { type Engine } from './engines.ts';
import { createWorld, type World } from './server-fixture.ts';
import { type ClaimedJob, produced, startThread, type Thread } from './thread.ts';
import { createVirtualClock, type VirtualClock } from './virtual-clock.ts';

export type Body = Record<string, unknown>;

export const times = { leaseMs: 60_000, payloadLifeMs: 300_000 };
export const withdrawn: Body = {
  ...produced,
  outcome: 'withdrawn',
  fault: 'FEED_FAIL',
  personalizationSent: false,
  blanksPicked: 0,
};
export const inDoubt: Body = { ...produced, outcome: 'in_doubt', fault: 'OUTCOME_UNKNOWN' };

export interface DispatchRig {
  readonly world: World;
  readonly clock: VirtualClock;
  readonly thread: Thread;
  /** Orders a card and waits until it is ready; its operation id. */
  ready(changes?: Body): Promise<string>;
  /** A job that the station has armed and brought through the given stages. */
  armed(...stages: string[]): Promise<ClaimedJob>;
  /** Stops the server and starts it again on the same data. */
  restart(): Promise<void>;
  /** Asks for the script of a job on behalf of one chip. */
  script(job: ClaimedJob, cplc: string | null, keyData?: string): Promise<ClientAnswer>;
}

interface Running {
  world?: World;
  clock?: VirtualClock;
  thread?: Thread;
}

function started<T>(part: T | undefined): T {
  assert.ok(part !== undefined, 'the rig is up only while a test runs');
  return part;
}

/** Call it in a `describe` block: it brings everything up before each test and empties the queue after it. */
export function useDispatchRig(engine: Engine): DispatchRig {
  const running: Running = {};
  before(async () => {
    running.world = await createWorld({ engine, waitLimitMs: 600_000 });
  });
  beforeEach(async () => {
    running.clock = createVirtualClock(Date.now());
    running.thread = await startThread(started(running.world), { clock: running.clock, times });
  });
  afterEach(async () => {
    const { vault } = started(running.world);
    vault.isUp = true;
    vault.scriptRefusal = undefined;
    vault.cryptogramRefusal = undefined;
    vault.refusal = undefined;
    // The next test finds an empty queue.
    await started(running.thread).drain();
    await started(running.thread).stop();
  });
  after(async () => {
    await started(running.world).close();
  });
  const rig: DispatchRig = {
    get world() {
      return started(running.world);
    },
    get clock() {
      return started(running.clock);
    },
    get thread() {
      return started(running.thread);
    },
    ready: async (changes = {}) => {
      const { operationId } = await rig.thread.order(changes);
      await rig.thread.untilState(operationId, 'ready');
      return operationId;
    },
    armed: async (...stages) => {
      await rig.ready();
      const job = await rig.thread.claimJob();
      assert.equal((await rig.thread.arm(job)).status, 200);
      await rig.thread.stages(job, ...stages);
      return job;
    },
    restart: async () => {
      await rig.thread.stop();
      running.thread = await startThread(rig.world, { clock: rig.clock, times });
    },
    script: (job, cplc, keyData = '00112233445566778899') =>
      rig.thread.post(rig.thread.station, stationPaths.chipScript(job.jobId), {
        epoch: job.epoch,
        ticket: 'a-ticket',
        chip: { atr: '3B00', cplc },
        initializeUpdateResponse: `${keyData}AABB`,
      }),
  };
  return rig;
}
