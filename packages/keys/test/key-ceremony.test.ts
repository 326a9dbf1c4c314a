import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { aesKcv, hex, oddParity, tdesKcv, xorBytes } from '@cardwright/emv';
import fc from 'fast-check';
import {
  type CeremonyPlan,
  CeremonyTranscript,
  faultsBetweenCeremonies,
  KeyCeremony,
  type SoftwareKeys,
  verifyCeremonyTranscript,
} from '../src/index.ts';
import { openTestKeys, temporaryFolder } from './key-fixture.ts';

function witnessPair(): { privatePem: string; publicPem: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privatePem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    publicPem: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
  };
}

function planOf(changes: Partial<CeremonyPlan> = {}): CeremonyPlan {
  return {
    ceremonyId: randomUUID(),
    keyName: 'imk-ac/1',
    algorithm: 'TDES-2KEY',
    usage: 'IMK-AC',
    environment: 'test',
    exportability: 'N',
    components: 3,
    witness: 'Wanda',
    ...changes,
  };
}

interface Rig {
  readonly keys: SoftwareKeys;
  readonly begin: (changes?: Partial<CeremonyPlan>) => { ceremony: KeyCeremony; file: string };
  readonly publicPem: string;
}

async function rig(t: TestContext): Promise<Rig> {
  const folder = await temporaryFolder(t);
  const { keys } = await openTestKeys(t);
  const { privatePem, publicPem } = witnessPair();
  let clockMs = Date.UTC(2030, 5, 1);
  const begin: Rig['begin'] = (changes) => {
    const file = join(folder, `${randomUUID()}.ceremony`);
    const transcript = new CeremonyTranscript(file, privatePem, () => (clockMs += 1000));
    t.after(() => {
      transcript.close();
    });
    return { ceremony: new KeyCeremony(planOf(changes), keys.management, transcript), file };
  };
  return { keys, begin, publicPem };
}

function enterWhole(ceremony: KeyCeremony, custodian: string, number: number, component: Uint8Array): void {
  const { algorithm } = ceremony.state.plan;
  const checkValue = hex(algorithm === 'TDES-2KEY' ? tdesKcv(component) : aesKcv(component));
  assert.deepEqual(ceremony.openSession(custodian, number), { ok: true });
  assert.equal(ceremony.enterComponent(component.slice()).ok, true);
  assert.deepEqual(ceremony.confirmComponent(checkValue), { ok: true });
  assert.deepEqual(ceremony.closeSession(), { ok: true });
}

test('three custodians make a key that does the work of the sum of their components (K6, K13)', async (t) => {
  const { keys, begin, publicPem } = await rig(t);
  for (const [name, algorithm, usage] of [
    ['imk-ac/1', 'TDES-2KEY', 'IMK-AC'],
    ['kbpk/1', 'AES-256', 'KBPK'],
  ] as const) {
    const length = algorithm === 'AES-256' ? 32 : 16;
    const components = [1, 2, 3].map(() => Uint8Array.from(randomBytes(length)));
    const sum = components.reduce<Uint8Array>((left, right) => xorBytes(left, right), new Uint8Array(length));
    const checkValue = algorithm === 'AES-256' ? hex(aesKcv(sum)) : hex(tdesKcv(sum));
    const { ceremony, file } = begin({ keyName: name, algorithm, usage });
    components.forEach((component, index) => {
      enterWhole(ceremony, `Custodian ${index + 1}`, index + 1, component);
    });
    const combined = ceremony.combine();
    assert.ok(combined.ok);
    assert.match(combined.checkValue ?? '', new RegExp(`:${checkValue}$`));
    assert.equal((await ceremony.confirmKey(checkValue)).ok, true);

    const record = keys.management.inventory().find((one) => one.name === name);
    assert.deepEqual([record?.origin, record?.checkValue], ['ceremony', combined.checkValue]);
    const verdict = verifyCeremonyTranscript(await readFile(file, 'utf8'), publicPem);
    assert.ok(verdict.ok);
    assert.deepEqual(
      [verdict.ceremony.outcome, verdict.ceremony.checkValue, verdict.ceremony.keyName],
      ['completed', combined.checkValue, name],
    );
    const transcript = (await readFile(file, 'utf8')).toUpperCase();
    for (const secret of [...components, sum, oddParity(sum)]) {
      assert.equal(transcript.includes(hex(secret)), false);
    }
  }
});

test('a component that is short, without entropy or wrongly confirmed does not count, and may be typed again', async (t) => {
  const { begin } = await rig(t);
  const { ceremony } = begin();
  ceremony.openSession('Aiko', 1);
  for (const bad of [new Uint8Array(16), new Uint8Array(15).fill(7), Uint8Array.from(randomBytes(24))]) {
    assert.deepEqual(ceremony.enterComponent(bad), { ok: false, reason: 'COMPONENT' });
    assert.ok(
      bad.every((byte) => byte === 0),
      'what was typed is wiped',
    );
  }
  const component = Uint8Array.from(randomBytes(16));
  const checkValue = hex(tdesKcv(component));
  assert.equal(ceremony.enterComponent(component.slice()).ok, true);
  assert.deepEqual(ceremony.confirmComponent('AES-CMAC-0:0011223344'), { ok: false, reason: 'CHECK_VALUE' });
  assert.equal(ceremony.enterComponent(component.slice()).ok, true);
  for (const text of ['', 'xyz', checkValue.slice(2)]) {
    assert.deepEqual(ceremony.confirmComponent(text), { ok: false, reason: 'CHECK_VALUE_FORM' });
  }
  assert.deepEqual(ceremony.confirmComponent(checkValue.toLowerCase()), { ok: true });
});

test('a wrong check value of the key, and components that cancel out, end the ceremony without a key', async (t) => {
  const { keys, begin, publicPem } = await rig(t);
  const wrong = begin({ components: 2 });
  enterWhole(wrong.ceremony, 'Aiko', 1, Uint8Array.from(randomBytes(16)));
  enterWhole(wrong.ceremony, 'Ben', 2, Uint8Array.from(randomBytes(16)));
  assert.equal(wrong.ceremony.combine().ok, true);
  assert.deepEqual(await wrong.ceremony.confirmKey('000000'), { ok: false, reason: 'CHECK_VALUE' });
  const zero = begin({ components: 2 });
  const same = Uint8Array.from(randomBytes(16));
  enterWhole(zero.ceremony, 'Aiko', 1, same);
  enterWhole(zero.ceremony, 'Ben', 2, same);
  assert.deepEqual(zero.ceremony.combine(), { ok: false, reason: 'WEAK_KEY' });
  assert.deepEqual(keys.management.inventory(), []);
  for (const { file } of [wrong, zero]) {
    const verdict = verifyCeremonyTranscript(await readFile(file, 'utf8'), publicPem);
    assert.ok(verdict.ok);
    assert.equal(verdict.ceremony.outcome, 'abandoned');
  }
});

test('a key that exists cannot be made again by a ceremony', async (t) => {
  const { keys, begin } = await rig(t);
  await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC' });
  assert.throws(() => begin(), { code: 'KEY_STORE' });
});

test('whoever learned a component in another process meanwhile is refused all the same', async (t) => {
  const { keys, begin } = await rig(t);
  const { ceremony } = begin();
  keys.management.recordComponentKnown({
    family: 'imk-ac',
    component: 2,
    custodian: 'aiko',
    ceremonyId: 'elsewhere',
  });
  assert.throws(() => ceremony.openSession('Aiko', 1), { code: 'KEY_USAGE' });
  assert.equal(ceremony.state.session, null);
  assert.equal(ceremony.openSession('Aiko', 2).ok, true);
});

// --- the model ---

/** What the rules say, as sets; written without a look at the machine. */
interface Model {
  /** person -> the one component of the family that the person may know. */
  readonly knows: Map<string, number>;
  entered: Map<number, string>;
  session: { person: string; component: number; typed: boolean; confirmed: boolean } | undefined;
  phase: 'collecting' | 'combined' | 'over';
}

interface Real {
  current: { ceremony: KeyCeremony; file: string };
  readonly files: string[];
  readonly rig: Rig;
}

type Step = fc.Command<Model, Real>;
const always = (): boolean => true;
const people = ['Aiko', 'Ben', 'Chiyo', 'Dan', ' aiko ', 'ＢＥＮ', 'Wanda'];
const identity = (name: string): string => name.normalize('NFKC').trim().toLowerCase();
const typed = Uint8Array.from({ length: 16 }, (_, index) => index * 7 + 1);

function openStepOf(name: string, component: number): Step {
  return {
    check: always,
    toString: () => `open ${name} ${component}`,
    run: (model, real) => {
      const person = identity(name);
      const isAllowed =
        model.phase === 'collecting' &&
        model.session === undefined &&
        person !== 'wanda' &&
        component >= 1 &&
        component <= 3 &&
        !model.entered.has(component) &&
        ![...model.entered.values()].includes(person) &&
        (model.knows.get(person) ?? component) === component;
      assert.equal(real.current.ceremony.openSession(name, component).ok, isAllowed);
      if (!isAllowed) return;
      model.session = { person, component, typed: false, confirmed: false };
      model.knows.set(person, component);
    },
  };
}

const visitor = fc.record({ name: fc.constantFrom(...people), component: fc.integer({ min: 0, max: 4 }) });
const openStep = visitor.map(({ name, component }) => openStepOf(name, component));

const entering: Step = {
  check: always,
  toString: () => 'enter',
  run: (model, real) => {
    const isAllowed = model.phase === 'collecting' && model.session?.typed === false;
    const component = typed.map((byte) => byte ^ (model.session?.component ?? 0));
    assert.equal(real.current.ceremony.enterComponent(component).ok, isAllowed);
    if (isAllowed && model.session) model.session.typed = true;
  },
};
const enterStep = fc.constant(entering);

function confirmStepOf(isRight: boolean): Step {
  return {
    check: always,
    toString: () => `confirm ${isRight ? 'rightly' : 'wrongly'}`,
    run: (model, real) => {
      const { session } = model;
      const component = typed.map((byte) => byte ^ (session?.component ?? 0));
      const text = isRight ? hex(tdesKcv(component)) : '010203';
      const isOpen = model.phase === 'collecting' && session?.typed === true && !session.confirmed;
      assert.equal(real.current.ceremony.confirmComponent(text).ok, isOpen && isRight);
      if (!isOpen) return;
      if (isRight) {
        session.confirmed = true;
        model.entered.set(session.component, session.person);
      } else session.typed = false;
    },
  };
}

const confirmStep = fc.boolean().map(confirmStepOf);

const closing: Step = {
  check: always,
  toString: () => 'close',
  run: (model, real) => {
    const isAllowed = model.phase === 'collecting' && model.session !== undefined;
    assert.equal(real.current.ceremony.closeSession().ok, isAllowed);
    if (isAllowed) model.session = undefined;
  },
};
const closeStep = fc.constant(closing);

/** What honest people do, so that the commands get far: as far as the model allows each part. */
const visitStep = visitor.map(({ name, component }): Step => {
  const parts = [openStepOf(name, component), entering, confirmStepOf(true), closing];
  return {
    check: always,
    toString: () => `visit of ${name} for ${component}`,
    run: (model, real) => {
      for (const part of parts) part.run(model, real);
    },
  };
});

const showStep = fc.integer({ min: 0, max: 4 }).map((component): Step => ({
  check: always,
  toString: () => `show ${component}`,
  run: (_, real) => {
    assert.deepEqual(real.current.ceremony.showComponent(component), { ok: false, reason: 'NEVER_SHOWN' });
  },
}));

/** How often the runs got that far: a model test that never does proves little. */
let combinedKeys = 0;

const combineStep = fc.constant<Step>({
  check: always,
  toString: () => 'combine',
  run: (model, real) => {
    const isAllowed = model.phase === 'collecting' && !model.session && model.entered.size === 3;
    assert.equal(real.current.ceremony.combine().ok, isAllowed);
    if (!isAllowed) return;
    model.phase = 'combined';
    combinedKeys++;
  },
});

/** A second ceremony beside the first would be a second session. */
const rivalStep = fc.constant<Step>({
  check: always,
  toString: () => 'rival ceremony',
  run: (_, real) => {
    assert.throws(() => real.rig.begin({ keyName: 'imk-ac/900' }), { code: 'KEY_STORE' });
  },
});

/** The next ceremony for a key of the same family: the rooms change, the history stays. */
const nextStep = fc.constant<Step>({
  check: always,
  toString: () => 'next ceremony',
  run: (model, real) => {
    real.current.ceremony.abandon('the day is over');
    real.current = real.rig.begin({ keyName: `imk-ac/${real.files.length + 1}` });
    real.files.push(real.current.file);
    model.entered = new Map();
    model.session = undefined;
    model.phase = 'collecting';
  },
});

test('no order of commands gets a custodian onto two components, a component shown, or two sessions (model)', async (t) => {
  const honest = [visitStep, visitStep, visitStep, visitStep, visitStep, visitStep];
  const strange = [openStep, enterStep, confirmStep, closeStep, showStep, combineStep, rivalStep, nextStep];
  const kinds = [...honest, ...strange];
  const before = combinedKeys;
  await fc.assert(
    fc.asyncProperty(fc.commands(kinds, { maxCommands: 60, size: 'max' }), async (commands) => {
      const own = await rig(t);
      const current = own.begin();
      const real: Real = { current, files: [current.file], rig: own };
      const model: Model = { knows: new Map(), entered: new Map(), session: undefined, phase: 'collecting' };
      fc.modelRun(() => ({ model, real }), commands);
      // What the machine wrote is judged by code that shares nothing with it.
      const verdicts = real.files.map((file) => {
        const verdict = verifyCeremonyTranscript(readFileSync(file, 'utf8'), own.publicPem);
        assert.ok(verdict.ok);
        return verdict.ceremony;
      });
      assert.deepEqual(faultsBetweenCeremonies(verdicts), []);
    }),
    { numRuns: 60 },
  );
  assert.ok(combinedKeys > before, 'some of the runs got as far as a combined key');
});
