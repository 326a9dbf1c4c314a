/** What the driver sends is what the card shows, and what the desk's ledger says afterwards. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { type CardSession, type Raster, createEvolisDevice } from '../src/index.ts';
import { type DriverRig, patternRaster, startDriverRig } from './driver-rig.ts';

async function readPng(file: string): Promise<Raster> {
  const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
  assert.equal(info.channels, 3);
  return { width: info.width, height: info.height, rgb: new Uint8Array(data) };
}

test('the printed pictures are, pixel by pixel, the rasters that were sent', async () => {
  await using rig = await startDriverRig();
  const sides = { front: patternRaster(1), back: patternRaster(2) };
  const session = await rig.device.begin('job');
  await session.feed();
  await session.print(sides);
  const [card] = rig.simulator.desk().cards;
  assert.ok(card !== undefined && card.front !== null && card.back !== null);
  assert.deepEqual(await readPng(join(rig.simulator.dataFolder, card.front)), sides.front);
  assert.deepEqual(await readPng(join(rig.simulator.dataFolder, card.back)), sides.back);
  const chip = JSON.parse(
    readFileSync(join(rig.simulator.dataFolder, 'cards', card.serial, 'chip.json'), 'utf8'),
  ) as { serial: string };
  assert.equal(chip.serial, card.serial);
});

test('a raster of another size is refused before anything is printed', async () => {
  await using rig = await startDriverRig();
  const session = await rig.device.begin('job');
  await session.feed();
  const small: Raster = { width: 10, height: 10, rgb: new Uint8Array(300) };
  await assert.rejects(session.print({ front: small, back: small }), {
    code: 'DEVICE_FAULT',
    faultClass: 'card-inside',
  });
  assert.equal((await rig.device.status()).card, 'contact');
  await session.reject();
});

test('a printer that is asked for under another name is offline', async () => {
  await using rig = await startDriverRig();
  const stranger = createEvolisDevice({
    host: '127.0.0.1',
    port: rig.simulator.evolisPort,
    device: 'Another Printer',
    reader: rig.reader,
  });
  assert.equal((await stranger.status()).state, 'offline');
  await assert.rejects(stranger.begin('job'), { code: 'OFFLINE', faultClass: 'clean' });
});

test('a printer that nobody has switched on is offline, and nothing has moved', async () => {
  await using rig = await startDriverRig();
  await rig.simulator.kill();
  assert.equal((await rig.device.status()).state, 'offline');
  await assert.rejects(rig.device.begin('job'), { code: 'OFFLINE', faultClass: 'clean' });
});

test('a power cut leaves the card inside for the next client to find', async () => {
  await using rig = await startDriverRig();
  const session = await rig.device.begin('job');
  await session.feed();
  await rig.simulator.kill();
  await assert.rejects(session.print({ front: patternRaster(1), back: patternRaster(2) }), {
    code: 'OFFLINE',
    faultClass: 'ambiguous',
  });
  assert.equal(rig.simulator.desk().cards[0]?.position, 'contact');
});

test('a feeder that runs dry stops the feed until it is filled', async () => {
  await using rig = await startDriverRig({ blanks: 1 });
  await (await makeSession(rig)).reject();
  const session = await rig.device.begin('job-2');
  await assert.rejects(session.feed(), { code: 'STOCK_EMPTY', faultClass: 'clean', isWaiting: true });
  await session.answer('retry');
  await session.reject();
  assert.deepEqual(
    rig.simulator.desk().cards.map((card) => card.position),
    ['rejected', 'rejected'],
  );
});

async function makeSession(rig: DriverRig): Promise<CardSession> {
  const session = await rig.device.begin('job');
  await session.feed();
  return session;
}

test('what a dead client left waiting is given up by the next one', async () => {
  await using rig = await startDriverRig({ faults: ['ribbon-out'] });
  const session = await makeSession(rig);
  await assert.rejects(session.print({ front: patternRaster(1), back: patternRaster(2) }), {
    code: 'RIBBON_OUT',
    isWaiting: true,
  });
  const heir = await rig.device.resume('job');
  await heir.reject();
  assert.equal((await rig.device.recover()).card, 'none');
});

test('an outage that swallows the answer to a print leaves a card inside, not a driver that waits for ever', async () => {
  await using rig = await startDriverRig({ faults: ['printer-offline-once'] }, { silenceMs: 15_000 });
  const session = await makeSession(rig);
  await assert.rejects(session.print({ front: patternRaster(1), back: patternRaster(2) }), {
    code: 'DEVICE_FAULT',
    faultClass: 'card-inside',
  });
  await session.reject();
  assert.equal((await rig.device.recover()).card, 'none');
});
