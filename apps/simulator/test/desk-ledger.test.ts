/** Every blank accounted for: in the pure ledger, on the running desk, and across power cuts. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type DeskLedger,
  type LedgerEvent,
  applyLedgerEvent,
  emptyLedger,
  insideCard,
} from '../src/desk/desk-ledger.ts';
import {
  type SimulatorProcess,
  endProcess,
  newDataFolder,
  plainBitmap,
  readLedgerFile,
  startProcess,
  startRig,
  testConfig,
  until,
} from './simulator-rig.ts';

function countAt(ledger: DeskLedger, ...positions: readonly string[]): number {
  return ledger.cards.filter((card) => positions.includes(card.position)).length;
}

function assertConserved(ledger: DeskLedger): void {
  const { picked, ejected, rejected } = ledger.counters;
  const inside = countAt(ledger, 'transport', 'contact', 'print', 'exit');
  const taken = countAt(ledger, 'taken');
  const binned = countAt(ledger, 'rejected');
  const retracted = countAt(ledger, 'retracted');
  assert.ok(inside <= 1, 'one card inside at most');
  assert.equal(picked, taken + binned + retracted + inside, 'picked = taken + rejected + retracted + inside');
  assert.equal(rejected, binned + retracted);
  assert.ok(ejected >= taken + retracted, 'what was taken or retracted was ejected');
  assert.equal(new Set(ledger.cards.map((card) => card.serial)).size, ledger.cards.length, 'no serial twice');
}

const arbitraryEvent: fc.Arbitrary<LedgerEvent> = fc.oneof(
  fc.constant<LedgerEvent>({ kind: 'picked' }),
  fc.constantFrom('transport' as const, 'contact' as const, 'print' as const).map((to) => ({
    kind: 'moved' as const,
    to,
  })),
  fc.constantFrom<LedgerEvent>(
    { kind: 'personalised' },
    { kind: 'printed', front: 'f', back: 'b' },
    { kind: 'ejected' },
    { kind: 'taken' },
    { kind: 'rejected' },
    { kind: 'retracted' },
  ),
);

test('whatever happens in whatever order, no card is lost, doubled or moved after it left', () => {
  fc.assert(
    fc.property(fc.array(arbitraryEvent, { maxLength: 60 }), (events) => {
      let ledger = applyLedgerEvent(emptyLedger, { kind: 'filled', serials: ['A1', 'A2', 'A3', 'A4'] });
      for (const event of events) {
        const before = ledger;
        try {
          ledger = applyLedgerEvent(ledger, event);
        } catch {
          assert.equal(ledger, before, 'an impossible event changes nothing');
          continue;
        }
        assertConserved(ledger);
        for (const [index, card] of before.cards.entries()) {
          const hasLeft = ['taken', 'rejected', 'retracted'].includes(card.position);
          if (hasLeft) assert.deepEqual(ledger.cards[index], card);
        }
      }
    }),
  );
});

test('a second card cannot be picked, and an empty printer cannot eject', () => {
  const filled = applyLedgerEvent(emptyLedger, { kind: 'filled', serials: ['A1', 'A2'] });
  const picked = applyLedgerEvent(filled, { kind: 'picked' });
  assert.throws(() => applyLedgerEvent(picked, { kind: 'picked' }));
  assert.throws(() => applyLedgerEvent(filled, { kind: 'ejected' }));
  assert.throws(() => applyLedgerEvent(picked, { kind: 'taken' }), /transport/);
});

const arbitraryCommand = fc.constantFrom('Si', 'Sis', 'Se', 'Ser', 'print', 'wait');

test('the desk keeps its ledger through any sequence of commands', async () => {
  await using rig = await startRig({ takeAfterMs: 4, bezelDelayMs: 3 + 4, blanks: 2 });
  const bitmap = plainBitmap();
  const run = async (command: string): Promise<void> => {
    if (command === 'wait') {
      await until('the exit to be empty', () =>
        insideCard(rig.ledger())?.position === 'exit' ? undefined : true,
      );
    } else if (command === 'print') {
      const { result: session } = await rig.call('PRINT.Begin');
      await rig.call('PRINT.Set', { session, data: 'GOutputTray=MANUAL' });
      await rig.call('PRINT.SetBitmap', { session, face: 'front', panel: 'color', data: bitmap });
      await rig.call('PRINT.Print', { session });
      await rig.call('PRINT.End', { session });
    } else await rig.command(command);
  };
  // A feeder that runs dry waits for somebody: RETRY is a new stack.
  const runWithOperator = async (command: string): Promise<void> => {
    const running = run(command);
    const done = running.then(() => 'done' as const);
    while ((await Promise.race([done, rig.call('SUPERVISION.GetEvent')])) !== 'done') {
      const { result = 'NONE' } = await rig.call('SUPERVISION.GetEvent');
      const [event = ''] = result.split(':');
      if (event !== 'NONE') await rig.call('SUPERVISION.SetEvent', { action: `${event}:RETRY` });
    }
    await running;
  };
  await fc.assert(
    fc.asyncProperty(fc.array(arbitraryCommand, { minLength: 1, maxLength: 12 }), async (commands) => {
      for (const command of commands) {
        await runWithOperator(command);
        assertConserved(rig.ledger());
      }
    }),
    { numRuns: 25 },
  );
  const { picked } = rig.ledger().counters;
  assert.ok(picked > 3, `cards really moved (${String(picked)})`);
  assert.equal((await rig.command('Rco;p')).result, String(rig.ledger().counters.picked));
});

test('nobody at the bezel: the card is taken back and counts as rejected', async () => {
  await using rig = await startRig({ takeAfterMs: null, bezelDelayMs: 30 });
  await rig.command('Sis');
  await rig.command('Se');
  await until('the retraction', () => (countAt(rig.ledger(), 'retracted') === 1 ? true : undefined));
  assert.deepEqual(rig.ledger().counters, { picked: 1, ejected: 1, rejected: 1 });
});

/** Kills the desk at a crash point and looks at what the next start finds. */
async function afterPowerCut(
  crashAt: string,
  provoke: (desk: SimulatorProcess) => void,
): Promise<{ readonly found: DeskLedger; readonly status: string | undefined; readonly counters: string[] }> {
  const dataFolder = newDataFolder();
  try {
    const config = await testConfig(dataFolder);
    const doomed = await startProcess(config, { CARDWRIGHT_CRASH_AT: crashAt });
    provoke(doomed);
    await until('the power cut', () => doomed.process.signalCode ?? undefined);
    assert.equal(doomed.process.signalCode, 'SIGKILL');
    const found = readLedgerFile(dataFolder);
    await using heir = await startProcess(config);
    assert.deepEqual(heir.ledger(), found, 'the start itself moves nothing and fills nothing');
    const counters = await Promise.all(
      ['p', 'e', 'r'].map(async (letter) => (await heir.command(`Rco;${letter}`)).result ?? ''),
    );
    const status = (await heir.call('CMD.GetStatus')).result?.split(',')[1];
    await heir.command('Ser');
    assert.equal(countAt(heir.ledger(), 'rejected'), 1, 'the card can be rejected');
    assertConserved(heir.ledger());
    return { found, status, counters };
  } finally {
    rmSync(dataFolder, { recursive: true, force: true });
  }
}

/** Sends a command whose answer will never come. */
function sendUnanswered(desk: SimulatorProcess, command: string): void {
  void desk.command(command).catch(() => undefined);
}

test('a power cut right after the pick leaves a card inside and counted', async () => {
  const { found, status, counters } = await afterPowerCut('simulator.card-picked', (desk) => {
    sendUnanswered(desk, 'Sis');
  });
  assert.equal(found.cards[0]?.position, 'transport');
  assert.equal(status, '10000000');
  assert.deepEqual(counters, ['1', '0', '0']);
});

test('a power cut in the middle of a print leaves the card at the print head, not printed', async () => {
  const { found, status } = await afterPowerCut('simulator.mid-print', (desk) => {
    void (async () => {
      const { result: session } = await desk.call('PRINT.Begin');
      await desk.call('PRINT.SetBitmap', { session, face: 'front', panel: 'color', data: plainBitmap() });
      await desk.call('PRINT.Print', { session });
    })().catch(() => undefined);
  });
  assert.equal(found.cards[0]?.position, 'print');
  assert.equal(found.cards[0].front, null);
  assert.equal(status, '02000000');
});

test('a power cut with the card at the exit leaves it there, ejected and not taken', async () => {
  const { found, counters } = await afterPowerCut('simulator.card-at-exit', (desk) => {
    void (async () => {
      await desk.command('Sis');
      await desk.command('Se');
    })().catch(() => undefined);
  });
  assert.equal(found.cards[0]?.position, 'exit');
  assert.deepEqual(counters, ['1', '1', '0']);
});

test('life-time counters go on over any number of kills', async () => {
  const dataFolder = newDataFolder();
  try {
    const config = await testConfig(dataFolder);
    for (let round = 1; round <= 3; round += 1) {
      const desk = await startProcess(config);
      assert.equal((await desk.command('Rco;p')).result, String(round - 1));
      await desk.command('Sis');
      await desk.command('Ser');
      await endProcess(desk.process, 'SIGKILL');
      assert.deepEqual(readLedgerFile(dataFolder).counters, { picked: round, ejected: 0, rejected: round });
    }
  } finally {
    rmSync(dataFolder, { recursive: true, force: true });
  }
});
