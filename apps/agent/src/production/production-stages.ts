/**
 * The physical stages of one card: feed, chip, print, verify. Each is journalled as started before the device is
 * touched and as completed after it answered.
 *
 * Invariants: a stage is begun once per job; it ends completed or throws (`DeviceFault`, `StageFailure`), and the
 * caller decides what becomes of the card; chip data passes through memory as sealed commands only.
 */
import { type ApduChannel, type CardSession, DeviceFault } from '@cardwright/devices';
import { hex } from '@cardwright/emv';
import { type ChipIdentity, type ChipScriptAnswer, type VerificationFacts } from '@cardwright/protocol';
import { crashPoint } from '@cardwright/runtime';
import { ChipRefusal, identifyChip, initializeUpdate } from '../chip/chip-session.ts';
import { playScript } from '../chip/script-player.ts';
import { LinkFault, StationRefusal } from '../link/station-error.ts';
import { verifyCard } from '../verification/card-verification.ts';
import { type CardSides, wipeArtwork } from './artwork-preparation.ts';
import { type ProductionJob } from './production-job.ts';
import { StageFailure } from './stage-failure.ts';
import { withinLimit } from './watchdog.ts';

/** What a job keeps in memory, and nowhere else, until its card is proven. */
export interface CardMaterial {
  readonly sides: CardSides;
  readonly facts: VerificationFacts;
}

/** Picks the blank. The counters before it are the evidence of every recovery. */
export async function performFeed(job: ProductionJob, session: CardSession): Promise<void> {
  const { device, limits } = job.parts;
  const { counters } = await device.status();
  job.startStage('feed', counters === undefined ? {} : { counters });
  crashPoint('agent.feed.started');
  await job.moveCard(session, 'feed', limits.feedMs, () => session.feed());
  job.completeStage('feed');
  crashPoint('agent.feed.done');
}

/** Personalizes the chip with the vault's script. */
export async function performChip(job: ProductionJob, session: CardSession): Promise<void> {
  const { clock, limits } = job.parts;
  job.startStage('chip');
  crashPoint('agent.chip.started');
  const channel = await powerChip(job, session, 'chip');
  try {
    const { chip, answer } = await openSecureChannel(job, channel);
    await withinLimit(clock, limits.chipMs, 'chip script', () => personalize(job, channel, chip, answer));
  } finally {
    await closeChannel(channel);
  }
  job.completeStage('chip');
  crashPoint('agent.chip.done');
}

/** The chip's channel; a device that stops on the way is mended like in any other stage. */
async function powerChip(
  job: ProductionJob,
  session: CardSession,
  stage: 'chip' | 'verify',
): Promise<ApduChannel> {
  const { clock, limits } = job.parts;
  try {
    return await withinLimit(clock, limits.chipMs, 'power the chip', () => session.chip());
  } catch (error) {
    if (!(error instanceof DeviceFault) || !error.isWaiting) throw error;
    await job.moveCard(session, stage, limits.chipMs, () => Promise.reject(error));
    // The card has reached the station by now; asking again only powers its chip.
    return withinLimit(clock, limits.chipMs, 'power the chip', () => session.chip());
  }
}

async function closeChannel(channel: ApduChannel): Promise<void> {
  // A channel that cannot be closed is gone: what the chip did is in the journal already.
  await channel.close().catch(() => undefined);
}

async function openSecureChannel(
  job: ProductionJob,
  channel: ApduChannel,
): Promise<{ chip: ChipIdentity; answer: ChipScriptAnswer }> {
  const { link, clock, limits } = job.parts;
  const { jobId, epoch } = job.identity;
  try {
    const begin = await job.askServer(() => link.beginChip(jobId, epoch));
    const { chip, response } = await withinLimit(clock, limits.chipMs, 'chip identity', async () => ({
      chip: await identifyChip(channel, begin.securityDomainAid),
      response: await initializeUpdate(channel, begin.initializeUpdate),
    }));
    const request = { epoch, ticket: begin.ticket, chip, initializeUpdateResponse: response };
    return { chip, answer: await job.askServer(() => link.releaseScript(jobId, request)) };
  } catch (error) {
    throw chipFailure(error);
  }
}

/** What stands between a blank and its script, as the card's fault. */
function chipFailure(error: unknown): unknown {
  if (error instanceof ChipRefusal) {
    return new StageFailure('CHIP_FAIL', { command: error.command, statusWord: error.statusWord });
  }
  if (error instanceof StationRefusal) {
    const fault = error.code === 'CHIP_REFUSED' ? 'CHIP_REFUSED' : 'INTERRUPTED';
    return new StageFailure(fault, { server: error.code });
  }
  if (error instanceof LinkFault) return new StageFailure('INTERRUPTED', { server: error.code });
  return error;
}

async function personalize(
  job: ProductionJob,
  channel: ApduChannel,
  chip: ChipIdentity,
  { script, terminate }: ChipScriptAnswer,
): Promise<void> {
  const halfway = Math.floor(script.length / 2);
  const result = await playScript({
    channel,
    script,
    terminate,
    onPersonalization: () => {
      job.write({ step: 'script', phase: 'started', ...(chip.cplc === null ? {} : { cplc: chip.cplc }) });
    },
    onTerminate: () => {
      job.write({ step: 'terminate', phase: 'started' });
    },
    onCommand: (index) => {
      if (index === halfway) crashPoint('agent.chip.mid-script');
    },
  });
  if (result.kind === 'completed') {
    job.write({ step: 'script', phase: 'completed' });
    return;
  }
  const { label, index, statusWord, terminated } = result;
  if (job.history().steps.terminate === 'started') {
    job.write({ step: 'terminate', phase: terminated ? 'completed' : 'failed' });
  }
  throw new StageFailure('CHIP_FAIL', { command: label, index, statusWord, terminated });
}

/** Prints both sides; the pictures are wiped whatever happens. */
export async function performPrint(
  job: ProductionJob,
  session: CardSession,
  sides: CardSides,
): Promise<void> {
  job.startStage('print');
  crashPoint('agent.print.started');
  try {
    await job.moveCard(session, 'print', job.parts.limits.printMs, () => session.print(sides));
  } finally {
    wipeArtwork(sides);
  }
  job.completeStage('print');
  crashPoint('agent.print.done');
}

/** Reads and proves the finished card; the chip report becomes evidence either way. */
export async function performVerify(
  job: ProductionJob,
  session: CardSession,
  facts: VerificationFacts,
): Promise<void> {
  const { link, clock, limits, randomBytes } = job.parts;
  const { jobId, epoch } = job.identity;
  job.startStage('verify');
  const channel = await powerChip(job, session, 'verify');
  try {
    const result = await withinLimit(clock, limits.verifyMs + limits.serverMs, 'verification', () =>
      verifyCard({
        channel,
        facts,
        chip: { atr: hex(channel.atr), cplc: job.history().cplc ?? null },
        randomBytes,
        now: () => clock.now(),
        confirm: (evidence) => job.askServer(() => link.confirmCryptogram(jobId, { epoch, ...evidence })),
      }),
    );
    if (!result.isProven) throw new StageFailure('VERIFY_FAIL', { chipReport: result.report });
    job.completeStage('verify', { chipReport: result.report });
    crashPoint('agent.verify.done');
  } catch (error) {
    if (!(error instanceof StationRefusal) && !(error instanceof LinkFault)) throw error;
    throw new StageFailure('INTERRUPTED', { server: error.code });
  } finally {
    await closeChannel(channel);
  }
}
