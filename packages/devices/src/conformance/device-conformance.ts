/**
 * The conformance suite of the device port: what every driver must show with a healthy device, whatever it drives.
 *
 * Runs under `node:test`. `makeDevice` gives a device with blanks, an empty transport, and somebody (or something)
 * that takes a presented card within the given limit.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceFault } from '../device-fault.ts';
import { type CardDevice, type CardSession, type Raster } from '../port.ts';

export interface ConformanceRig {
  readonly device: CardDevice;
  [Symbol.asyncDispose](): Promise<void>;
}

const takenLimitMs = 60_000;
const selectIssuerDomain = Uint8Array.of(0x00, 0xa4, 0x04, 0x00, 0x00);

function blankSide(device: CardDevice): Raster {
  const { widthPx: width, heightPx: height } = device.profile;
  return { width, height, rgb: new Uint8Array(width * height * 3).fill(0xff) };
}

async function feedOne(device: CardDevice): Promise<CardSession> {
  const session = await device.begin('conformance');
  await session.feed();
  return session;
}

async function printOne(device: CardDevice): Promise<CardSession> {
  const session = await feedOne(device);
  await session.print({ front: blankSide(device), back: blankSide(device) });
  return session;
}

/** What a counter must have become; a device without counters has nothing to show. */
async function assertCounted(
  device: CardDevice,
  before: Awaited<ReturnType<CardDevice['status']>>,
  grown: { readonly picked: number; readonly ejected: number; readonly rejected: number },
): Promise<void> {
  const { counters } = await device.status();
  if (!device.profile.hasCounters) return;
  assert.ok(before.counters !== undefined && counters !== undefined, 'the profile promises counters');
  assert.deepEqual(
    {
      picked: counters.picked - before.counters.picked,
      ejected: counters.ejected - before.counters.ejected,
      rejected: counters.rejected - before.counters.rejected,
    },
    grown,
  );
}

/** Registers the suite. @param makeDevice a fresh device for each test */
export function runDeviceConformance(makeDevice: () => Promise<ConformanceRig>): void {
  const onDevice = (title: string, body: (device: CardDevice) => Promise<void>): void => {
    test(title, async () => {
      await using rig = await makeDevice();
      await body(rig.device);
    });
  };
  registerCardTests(onDevice);
  registerRecoveryTests(onDevice);
}

type OnDevice = (title: string, body: (device: CardDevice) => Promise<void>) => void;

function registerCardTests(onDevice: OnDevice): void {
  onDevice('an idle device is ready and empty', async (device) => {
    const status = await device.status();
    assert.equal(status.state, 'ready');
    assert.equal(status.card, 'none');
  });

  onDevice('feeding brings one blank to the chip station', async (device) => {
    const before = await device.status();
    await feedOne(device);
    assert.equal((await device.status()).card, 'contact');
    await assertCounted(device, before, { picked: 1, ejected: 0, rejected: 0 });
  });

  onDevice('the chip answers, and answers again after a cold reset', async (device) => {
    const session = await feedOne(device);
    const chip = await session.chip();
    assert.ok(chip.atr.length >= 2);
    assert.ok((await chip.transmit(selectIssuerDomain)).length >= 2);
    await chip.reset();
    assert.ok((await chip.transmit(selectIssuerDomain)).length >= 2);
    await chip.close();
    await assert.rejects(chip.transmit(selectIssuerDomain), 'a closed channel is closed');
  });

  onDevice('a printed card stays inside and its chip can be read again', async (device) => {
    const session = await printOne(device);
    assert.notEqual((await device.status()).card, 'none');
    const chip = await session.chip();
    assert.ok((await chip.transmit(selectIssuerDomain)).length >= 2);
    assert.equal((await device.status()).card, 'contact');
  });

  onDevice('a presented card is taken and the device is empty again', async (device) => {
    const before = await device.status();
    const session = await printOne(device);
    await session.present();
    assert.equal(await session.awaitTaken(AbortSignal.timeout(takenLimitMs)), 'taken');
    assert.equal((await device.status()).card, 'none');
    await assertCounted(device, before, { picked: 1, ejected: 1, rejected: 0 });
  });

  onDevice('a rejected card goes to the bin and never to the exit', async (device) => {
    const before = await device.status();
    const session = await feedOne(device);
    await session.reject();
    assert.equal((await device.status()).card, 'none');
    await assertCounted(device, before, { picked: 1, ejected: 0, rejected: 1 });
  });

  onDevice('one card after the other is made', async (device) => {
    const before = await device.status();
    for (let made = 0; made < 2; made += 1) {
      const session = await printOne(device);
      await session.present();
      await session.awaitTaken(AbortSignal.timeout(takenLimitMs));
      await session.release();
    }
    await assertCounted(device, before, { picked: 2, ejected: 2, rejected: 0 });
  });

  onDevice('waiting for the customer can be given up', async (device) => {
    const session = await feedOne(device);
    await session.present();
    const reason = new Error('the shift is over');
    await assert.rejects(session.awaitTaken(AbortSignal.abort(reason)), reason);
  });
}

function registerRecoveryTests(onDevice: OnDevice): void {
  onDevice('no session begins while a card is inside', async (device) => {
    await feedOne(device);
    await assert.rejects(
      device.begin('conformance-2'),
      (error) => error instanceof DeviceFault && error.faultClass === 'card-inside',
    );
  });

  onDevice('a card inside can be taken over and rejected', async (device) => {
    const before = await device.status();
    await feedOne(device);
    assert.equal((await device.recover()).card, 'contact');
    await (await device.resume('conformance')).reject();
    assert.equal((await device.recover()).card, 'none');
    await assertCounted(device, before, { picked: 1, ejected: 0, rejected: 1 });
  });

  onDevice('with nothing inside there is nothing to take over', async (device) => {
    await assert.rejects(device.resume('conformance'), (error) => error instanceof DeviceFault);
  });

  onDevice('a session that feeds nothing leaves no trace', async (device) => {
    const before = await device.status();
    const session = await device.begin('conformance');
    await session.release();
    await assertCounted(device, before, { picked: 0, ejected: 0, rejected: 0 });
    assert.equal((await device.status()).state, 'ready');
  });

  onDevice('a session is of no use once it is released', async (device) => {
    const session = await device.begin('conformance');
    await session.release();
    await assert.rejects(session.feed());
    assert.equal((await device.status()).card, 'none');
  });
}
