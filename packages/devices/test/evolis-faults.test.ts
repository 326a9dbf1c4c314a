/**
 * Every fault of the simulator's deck, seen through the driver: which fault, which class, and how it goes on.
 * `faultFailures` must name every fault that `--list-faults` lists.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { equalBytes } from '@cardwright/emv';
import { type CardSession, DeviceFault, type DeviceFaultCode, type FaultClass } from '../src/index.ts';
import { authenticate, firstRecord, personalizePayment, readFirstRecord } from './chip-host.ts';
import { type DriverRig, patternRaster, startDriverRig } from './driver-rig.ts';
import { listSimulatorFaults } from './simulator-process.ts';

const sides = { front: patternRaster(1), back: patternRaster(2) };
const customerLimitMs = 10_000;

interface ExpectedFault {
  readonly code: DeviceFaultCode;
  readonly faultClass: FaultClass;
  readonly isWaiting?: boolean;
}

async function assertFault(action: Promise<unknown>, expected: ExpectedFault): Promise<void> {
  await assert.rejects(action, (error) => {
    assert.ok(error instanceof DeviceFault, String(error));
    const { code, faultClass, isWaiting } = error;
    assert.deepEqual({ code, faultClass, isWaiting }, { isWaiting: false, ...expected }, error.message);
    return true;
  });
}

async function feed({ device }: DriverRig): Promise<CardSession> {
  const session = await device.begin('job');
  await session.feed();
  return session;
}

/** The card ends where it should, and the desk agrees. */
async function assertRejected(rig: DriverRig, session: CardSession): Promise<void> {
  await session.reject();
  assert.deepEqual(positions(rig), ['rejected']);
}

async function assertMadeAndTaken(rig: DriverRig, session: CardSession): Promise<void> {
  await session.present();
  assert.equal(await session.awaitTaken(AbortSignal.timeout(customerLimitMs)), 'taken');
  assert.deepEqual(positions(rig), ['taken']);
}

function positions({ simulator }: DriverRig): string[] {
  return simulator
    .desk()
    .cards.map((card) => card.position)
    .filter((position) => position !== 'feeder');
}

const chipSilent: ExpectedFault = { code: 'CHIP_FAIL', faultClass: 'card-inside' };

async function expectMidScript(rig: DriverRig): Promise<void> {
  const session = await feed(rig);
  const host = await authenticate(await session.chip());
  await assertFault(personalizePayment(host), chipSilent);
  await assertFault(session.chip(), chipSilent);
  await assertRejected(rig, session);
}

/** The printer stops a print, waits, and the first retry mends it. */
async function expectMendedPrint(rig: DriverRig, code: DeviceFaultCode): Promise<void> {
  const session = await feed(rig);
  await assertFault(session.print(sides), { code, faultClass: 'card-inside', isWaiting: true });
  assert.equal((await rig.device.status()).state, 'fault');
  await session.answer('retry');
  assert.equal((await rig.device.status()).card, 'print');
  await assertMadeAndTaken(rig, session);
}

async function expectLostPrint(rig: DriverRig, code: DeviceFaultCode): Promise<void> {
  const session = await feed(rig);
  await assertFault(session.print(sides), { code, faultClass: 'card-inside' });
  assert.equal(rig.simulator.desk().cards[0]?.front, null);
  await assertRejected(rig, session);
}

async function expectStanding(rig: DriverRig, code: DeviceFaultCode): Promise<void> {
  assert.equal((await rig.device.status()).state, 'attention');
  await assertFault(rig.device.begin('job'), { code, faultClass: 'clean' });
  assert.deepEqual(positions(rig), []);
}

const faultFailures: Readonly<Record<string, (rig: DriverRig) => Promise<void>>> = {
  'chip-mute': async (rig) => {
    const session = await feed(rig);
    await assertFault(session.chip(), chipSilent);
    await assertRejected(rig, session);
    await assertFault((await feed(rig)).chip(), chipSilent);
  },
  'chip-mute-once': async (rig) => {
    const session = await feed(rig);
    await assertFault(session.chip(), chipSilent);
    await assertRejected(rig, session);
    assert.ok((await (await feed(rig)).chip()).atr.length > 0);
  },
  'chip-yanked': expectMidScript,
  'chip-silent': expectMidScript,
  'chip-answer-lost': expectMidScript,
  'chip-refuses': async (rig) => {
    const session = await feed(rig);
    const statusWords = await personalizePayment(await authenticate(await session.chip()));
    assert.equal(statusWords.at(-1), '6581');
    assert.ok(statusWords.length > 2, 'in the middle of the script');
    await assertRejected(rig, session);
  },
  'chip-wrong-key': async (rig) => {
    const host = await authenticate(await (await feed(rig)).chip());
    assert.equal(host.isCardGenuine, false);
  },
  'chip-used': async (rig) => {
    const host = await authenticate(await (await feed(rig)).chip());
    assert.equal(host.isCardGenuine, true);
    assert.notEqual((await personalizePayment(host)).at(-1), '9000');
  },
  'chip-locked': async (rig) => {
    const host = await authenticate(await (await feed(rig)).chip());
    assert.notEqual((await personalizePayment(host)).at(-1), '9000');
  },
  'chip-corrupt-record': async (rig) => {
    const session = await feed(rig);
    const host = await authenticate(await session.chip());
    assert.deepEqual(
      [...new Set(await personalizePayment(host))],
      ['9000'],
      'the chip itself notices nothing',
    );
    const stored = await readFirstRecord(await session.chip());
    assert.equal(stored.length, firstRecord.length);
    assert.equal(equalBytes(stored, firstRecord), false);
    await assertRejected(rig, session);
    assert.equal(rig.simulator.desk().cards[0]?.personalised, true);
  },
  'feeder-empty': async (rig) => {
    const waiting: ExpectedFault = { code: 'STOCK_EMPTY', faultClass: 'clean', isWaiting: true };
    assert.equal((await rig.device.status()).state, 'attention');
    const session = await rig.device.begin('job');
    await assertFault(session.feed(), waiting);
    await assertFault(session.answer('retry'), waiting);
    await session.answer('cancel');
    await session.release();
    assert.deepEqual(positions(rig), []);
    assert.equal((await rig.device.status()).counters?.picked, 0);
  },
  'feeder-empty-once': async (rig) => {
    const session = await rig.device.begin('job');
    await assertFault(session.feed(), { code: 'STOCK_EMPTY', faultClass: 'clean', isWaiting: true });
    await session.answer('retry');
    assert.equal((await rig.device.status()).counters?.picked, 1, 'one blank, though asked twice');
    await session.print(sides);
    await assertMadeAndTaken(rig, session);
  },
  'feed-slip': async (rig) => {
    const session = await rig.device.begin('job');
    await assertFault(session.feed(), { code: 'FEED_FAIL', faultClass: 'clean', isWaiting: true });
    await session.answer('cancel');
    assert.deepEqual(positions(rig), []);
  },
  'feed-jam': async (rig) => {
    const session = await rig.device.begin('job');
    await assertFault(session.feed(), { code: 'FEED_FAIL', faultClass: 'card-inside' });
    await assertRejected(rig, session);
  },
  'card-jam': (rig) => expectLostPrint(rig, 'CARD_JAM'),
  'ribbon-torn': (rig) => expectLostPrint(rig, 'RIBBON_FAULT'),
  'ribbon-out': async (rig) => {
    const waiting: ExpectedFault = { code: 'RIBBON_OUT', faultClass: 'card-inside', isWaiting: true };
    const session = await feed(rig);
    await assertFault(session.print(sides), waiting);
    await assertFault(session.answer('retry'), waiting);
    await session.answer('cancel');
    await assertRejected(rig, session);
  },
  'ribbon-out-once': (rig) => expectMendedPrint(rig, 'RIBBON_OUT'),
  'cover-open-once': (rig) => expectMendedPrint(rig, 'COVER_OPEN'),
  'ribbon-missing': (rig) => expectStanding(rig, 'RIBBON_OUT'),
  'cover-open': (rig) => expectStanding(rig, 'COVER_OPEN'),
  'reject-full': async (rig) => {
    const waiting: ExpectedFault = { code: 'REJECT_FULL', faultClass: 'card-inside', isWaiting: true };
    const session = await feed(rig);
    await assertFault(session.reject(), waiting);
    await assertFault(session.answer('retry'), waiting);
    await session.answer('cancel');
    assert.equal((await rig.device.recover()).card, 'contact');
  },
  'reject-full-once': async (rig) => {
    const session = await feed(rig);
    await assertFault(session.reject(), { code: 'REJECT_FULL', faultClass: 'card-inside', isWaiting: true });
    await session.answer('retry');
    assert.deepEqual(positions(rig), ['rejected']);
  },
  'not-taken': async (rig) => {
    const session = await feed(rig);
    await session.present();
    assert.equal(await session.awaitTaken(AbortSignal.timeout(customerLimitMs)), 'retracted');
    assert.deepEqual(positions(rig), ['retracted']);
  },
  'printer-offline': async (rig) => {
    const session = await feed(rig);
    await assertFault(session.print(sides), { code: 'OFFLINE', faultClass: 'ambiguous' });
    assert.equal((await rig.device.status()).state, 'offline');
    assert.equal((await rig.device.recover()).card, 'unknown');
    await assertFault(session.reject(), { code: 'OFFLINE', faultClass: 'ambiguous' });
    await assertFault(rig.device.begin('job-2'), { code: 'OFFLINE', faultClass: 'clean' });
  },
  'printer-offline-once': async (rig) => {
    const session = await feed(rig);
    await assertFault(session.print(sides), { code: 'OFFLINE', faultClass: 'ambiguous' });
    await untilOnline(rig);
    assert.equal((await rig.device.recover()).card, 'print');
    await assertRejected(rig, await rig.device.resume('job'));
  },
  'printer-garbled': async (rig) => {
    const session = await feed(rig);
    await assertFault(session.print(sides), { code: 'DEVICE_FAULT', faultClass: 'card-inside' });
    await assertRejected(rig, session);
  },
};

async function untilOnline({ device }: DriverRig): Promise<void> {
  const giveUpAt = Date.now() + 20_000;
  while ((await device.status()).state === 'offline') {
    assert.ok(Date.now() < giveUpAt, 'the printer comes back');
  }
}

test('every fault of the deck is tried here', () => {
  assert.deepEqual(
    listSimulatorFaults()
      .map((fault) => fault.name)
      .sort(),
    Object.keys(faultFailures).sort(),
  );
});

for (const { name, description } of listSimulatorFaults()) {
  test(`${name}: ${description.charAt(0).toLowerCase()}${description.slice(1)}`, async () => {
    await using rig = await startDriverRig({ faults: [name], bezelDelayMs: 300 });
    const expectFailure = faultFailures[name];
    assert.ok(expectFailure !== undefined);
    await expectFailure(rig);
  });
}
