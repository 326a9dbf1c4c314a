import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { createVirtualCard, type VirtualCard } from '@cardwright/card';
import { hex, statusWord, unhex } from '@cardwright/emv';
import { type KeyHandle, type SoftwareKeys } from '@cardwright/keys';
import {
  beginSecureChannel,
  createPersonalizationScript,
  type PersonalizationInstance,
  type PersonalizationScript,
  type SecureChannelProtocol,
} from '../src/index.ts';
import { referenceInstances } from './application-fixture.ts';
import { openTestKeys } from './key-fixture.ts';

const sandboxKmc = unhex('404142434445464748494A4B4C4D4E4F');
const protocols: readonly SecureChannelProtocol[] = ['SCP02', 'SCP03'];
const issuerSecurityDomain = unhex('00A4040008A000000151000000');

type Script = Extract<PersonalizationScript, { ok: true }>;

interface Station {
  readonly keys: SoftwareKeys;
  readonly kmcScp02: KeyHandle;
  readonly kmcScp03: KeyHandle;
  readonly instances: readonly PersonalizationInstance[];
  blank(protocol: SecureChannelProtocol, kmc?: Uint8Array): VirtualCard;
  script(card: VirtualCard, allowed?: readonly SecureChannelProtocol[]): Promise<PersonalizationScript>;
}

async function openStation(t: TestContext, maxTemporaryKeys?: number): Promise<Station> {
  const keys = await openTestKeys(t, maxTemporaryKeys);
  const kmcScp02 = await keys.ensure('kmc-scp02/1', {
    algorithm: 'TDES-2KEY',
    usage: 'KMC',
    value: sandboxKmc,
  });
  const kmcScp03 = await keys.ensure('kmc-scp03/1', {
    algorithm: 'AES-128',
    usage: 'KMC',
    value: sandboxKmc,
  });
  const instances = await referenceInstances(keys);
  return {
    keys,
    kmcScp02,
    kmcScp03,
    instances,
    blank: (secureChannel, kmc = sandboxKmc) =>
      createVirtualCard({ secureChannel, kmc, serial: randomBytes(4) }),
    async script(card, allowedProtocols = protocols) {
      card.transmit(issuerSecurityDomain);
      const { initializeUpdate, hostChallenge } = beginSecureChannel(keys);
      const initializeUpdateResponse = card.transmit(initializeUpdate);
      return createPersonalizationScript(keys, {
        kmcScp02,
        kmcScp03,
        hostChallenge,
        initializeUpdateResponse,
        allowedProtocols,
        instances,
      });
    },
  };
}

function assertOk(script: PersonalizationScript): asserts script is Script {
  assert.ok(script.ok);
}

function play(card: VirtualCard, script: Script, count = script.script.length): void {
  for (const { apdu, expect, label } of script.script.slice(0, count)) {
    assert.ok(expect.includes(statusWord(card.transmit(unhex(apdu)))), label);
  }
}

for (const protocol of protocols) {
  test(`a blank ${protocol} chip accepts the whole script and becomes a personalized card`, async (t) => {
    const station = await openStation(t);
    const card = station.blank(protocol);
    const script = await station.script(card);
    assertOk(script);
    assert.equal(script.protocol, protocol);
    play(card, script);
    assert.deepEqual(
      card.inspect().applications.map(({ lifeCycle }) => lifeCycle),
      ['PERSONALIZED', 'PERSONALIZED', 'PERSONALIZED', 'SELECTABLE'],
    );
    card.reset();
    assert.equal(statusWord(card.transmit(unhex('00A4040007F043415244000100'))), '9000');
    assert.ok(hex(card.transmit(unhex('80A8000002830000'))).includes('82023900'));
  });

  test(`after any number of commands the terminate command of that number kills an ${protocol} chip`, async (t) => {
    const station = await openStation(t);
    const total = await station.script(station.blank(protocol));
    assertOk(total);
    assert.equal(total.terminate.length, total.script.length + 1);
    assert.equal(total.terminate[0], null);
    for (let sent = 1; sent <= total.script.length; sent++) {
      const card = station.blank(protocol);
      const script = await station.script(card);
      assertOk(script);
      play(card, script, sent);
      const terminate = script.terminate[sent];
      assert.ok(terminate);
      assert.ok(terminate.expect.includes(statusWord(card.transmit(unhex(terminate.apdu)))));
      assert.equal(card.inspect().lifeCycle, 'TERMINATED');
      card.reset();
      assert.notEqual(statusWord(card.transmit(unhex('00A4040007F043415244000100'))), '9000');
    }
  });

  test(`an ${protocol} script for one chip is refused by every other chip and by a second session`, async (t) => {
    const station = await openStation(t);
    const card = station.blank(protocol);
    const script = await station.script(card);
    assertOk(script);
    const [authenticate] = script.script;
    assert.ok(authenticate);
    const stranger = station.blank(protocol);
    assertOk(await station.script(stranger));
    assert.notEqual(statusWord(stranger.transmit(unhex(authenticate.apdu))), '9000');
    play(card, script, 2);
    card.reset();
    assertOk(await station.script(card));
    assert.notEqual(statusWord(card.transmit(unhex(authenticate.apdu))), '9000');
  });

  test(`an ${protocol} command that is changed, repeated or out of order is refused`, async (t) => {
    const station = await openStation(t);
    const damages: ((apdus: string[]) => void)[] = [
      (apdus) => apdus.splice(2, 1),
      (apdus) => apdus.splice(2, 0, apdus[1] ?? ''),
      (apdus) =>
        apdus.splice(
          2,
          1,
          (apdus[2] ?? '').replace(/.$/, (last) => (last === '0' ? '1' : '0')),
        ),
      (apdus) => apdus.splice(2, 1, (apdus[2] ?? '').replace(/^84E2/, '80E2')),
    ];
    for (const damage of damages) {
      const card = station.blank(protocol);
      const script = await station.script(card);
      assertOk(script);
      const apdus = script.script.map(({ apdu }) => apdu);
      damage(apdus);
      const words = apdus.slice(0, 3).map((apdu) => statusWord(card.transmit(unhex(apdu))));
      assert.deepEqual(words.slice(0, 2), ['9000', '9000']);
      assert.notEqual(words[2], '9000');
    }
  });

  test(`every changed byte of an ${protocol} card cryptogram or challenge is refused before a command`, async (t) => {
    const station = await openStation(t);
    const card = station.blank(protocol);
    card.transmit(issuerSecurityDomain);
    const { initializeUpdate, hostChallenge } = beginSecureChannel(station.keys);
    const sound = card.transmit(initializeUpdate);
    const { kmcScp02, kmcScp03, instances } = station;
    // KEYDATA too: other KEYDATA means other card keys. KVN and i are not authenticated by the protocol.
    const [first, last] = protocol === 'SCP02' ? [12, 28] : [13, 29];
    const offsets = [4, 5, 6, 7, 8, 9];
    for (let offset = first; offset < last; offset++) offsets.push(offset);
    for (const offset of offsets) {
      const initializeUpdateResponse = Uint8Array.from(sound);
      initializeUpdateResponse[offset] = (sound[offset] ?? 0) ^ 0x01;
      const request = { kmcScp02, kmcScp03, hostChallenge, allowedProtocols: protocols, instances };
      const script = await createPersonalizationScript(station.keys, {
        ...request,
        initializeUpdateResponse,
      });
      assert.deepEqual(script, { ok: false, reason: 'CARD_CRYPTOGRAM_INVALID' }, String(offset));
    }
  });

  test(`an ${protocol} chip with foreign keys is refused`, async (t) => {
    const station = await openStation(t);
    const script = await station.script(station.blank(protocol, randomBytes(16)));
    assert.deepEqual(script, { ok: false, reason: 'CARD_CRYPTOGRAM_INVALID' });
  });

  test(`a protocol that the product does not allow is refused (${protocol})`, async (t) => {
    const station = await openStation(t);
    const others = protocols.filter((other) => other !== protocol);
    const script = await station.script(station.blank(protocol), others);
    assert.deepEqual(script, { ok: false, reason: 'PROTOCOL_NOT_ALLOWED' });
  });

  test(`no derived key stays behind, whether the ${protocol} script came about or not`, async (t) => {
    // Three UDKs and the ICC key of the fixture, and six at most for a session: a leak fails the second round.
    const station = await openStation(t, 4 + 6);
    for (let round = 0; round < 4; round++) {
      assertOk(await station.script(station.blank(protocol)));
      assert.ok(!(await station.script(station.blank(protocol, randomBytes(16)))).ok);
    }
    const failing = [{ aid: unhex('F0434152440001'), dgis: [{ id: '8000', encrypt: refuseToEncrypt }] }];
    for (let round = 0; round < 4; round++) {
      const broken = { ...station, instances: failing };
      await assert.rejects(scriptFor(broken, station.blank(protocol)), /no encipherment/);
    }
  });
}

function refuseToEncrypt(): Promise<Uint8Array> {
  return Promise.reject(new Error('no encipherment'));
}

async function scriptFor(station: Station, card: VirtualCard): Promise<PersonalizationScript> {
  card.transmit(issuerSecurityDomain);
  const { initializeUpdate, hostChallenge } = beginSecureChannel(station.keys);
  const { kmcScp02, kmcScp03, instances } = station;
  return createPersonalizationScript(station.keys, {
    kmcScp02,
    kmcScp03,
    hostChallenge,
    initializeUpdateResponse: card.transmit(initializeUpdate),
    allowedProtocols: protocols,
    instances,
  });
}

test('a response of any other length or protocol is malformed', async (t) => {
  const { keys, kmcScp02, kmcScp03, instances } = await openStation(t);
  const { hostChallenge } = beginSecureChannel(keys);
  const base = { kmcScp02, kmcScp03, hostChallenge, allowedProtocols: protocols, instances };
  const sound = new Map([
    [0x02, [28, 30]],
    [0x03, [29, 31]],
  ]);
  for (const protocol of [0x00, 0x01, 0x02, 0x03, 0x04, 0xff]) {
    for (let length = 0; length <= 40; length++) {
      const initializeUpdateResponse = new Uint8Array(length);
      if (length > 11) initializeUpdateResponse[11] = protocol;
      if (length >= 30) initializeUpdateResponse[length - 2] = 0x90;
      const script = await createPersonalizationScript(keys, { ...base, initializeUpdateResponse });
      const reason = sound.get(protocol)?.includes(length) ? 'CARD_CRYPTOGRAM_INVALID' : 'RESPONSE_MALFORMED';
      assert.deepEqual(script, { ok: false, reason }, `${protocol}/${length}`);
    }
  }
});

test('without the master key of a protocol that protocol is not allowed', async (t) => {
  const station = await openStation(t);
  const card = station.blank('SCP02');
  card.transmit(issuerSecurityDomain);
  const { initializeUpdate, hostChallenge } = beginSecureChannel(station.keys);
  const script = await createPersonalizationScript(station.keys, {
    kmcScp03: station.kmcScp03,
    hostChallenge,
    initializeUpdateResponse: card.transmit(initializeUpdate),
    allowedProtocols: protocols,
    instances: station.instances,
  });
  assert.deepEqual(script, { ok: false, reason: 'PROTOCOL_NOT_ALLOWED' });
});

test('host challenges differ and stand in INITIALIZE UPDATE', async (t) => {
  const keys = await openTestKeys(t);
  const begun = Array.from({ length: 20 }, () => beginSecureChannel(keys));
  for (const { initializeUpdate, hostChallenge } of begun) {
    assert.equal(hex(initializeUpdate), `8050000008${hex(hostChallenge)}00`);
  }
  assert.equal(new Set(begun.map(({ hostChallenge }) => hex(hostChallenge))).size, 20);
});

test('script commands are short wrapped APDUs whose labels name no data', async (t) => {
  const station = await openStation(t);
  const script = await station.script(station.blank('SCP03'));
  assertOk(script);
  for (const step of [...script.script, ...script.terminate.slice(1)]) {
    assert.ok(step);
    assert.match(step.apdu, /^84(82|E6|E2|F0)([0-9A-F]{2})+$/);
    assert.ok(unhex(step.apdu).length <= 260);
    assert.match(step.label, /^(EXTERNAL AUTHENTICATE|TERMINATE|INSTALL for .*|STORE DATA .*)$/);
    assert.doesNotMatch(step.label, /[0-9A-F]{4}/);
    assert.ok(step.label.length <= 64);
  }
});

test('secret groupings are enciphered under the session DEK for SCP02 and the static DEK for SCP03', async (t) => {
  const station = await openStation(t);
  const seen: string[] = [];
  const spied = {
    id: '8000',
    encrypt: async (dek: KeyHandle, mode: 'TDES-ECB' | 'AES-CBC') => {
      const udk = await station.keys.deriveTdesEcb(
        await station.keys.find('imk-ac/1'),
        new Uint8Array(16),
        'UDK',
        true,
      );
      seen.push(`${dek.usage} ${mode}`);
      return station.keys.wrapForCard(dek, mode, [udk]);
    },
  };
  for (const protocol of protocols) {
    const instances = [{ aid: unhex('F0434152440001'), dgis: [spied] }];
    assertOk(await scriptFor({ ...station, instances }, station.blank(protocol)));
  }
  assert.deepEqual(seen, ['CARD-SESSION TDES-ECB', 'CARD-STATIC AES-CBC']);
});
