/**
 * A small personalization host and terminal for tests: opens secure channels, wraps, sends, collects status words.
 */
import { randomBytes } from 'node:crypto';
import {
  type CommandApdu,
  type Scp02Channel,
  type Scp03Channel,
  type SecureChannelStaticKeys,
  aesCbcEncrypt,
  aesCmac,
  concatBytes,
  cpsCardKeyData,
  deriveScp02SessionKeys,
  deriveScp03SessionKeys,
  encodeCommand,
  encodeDgi,
  hex,
  kdf3Input,
  pad80,
  parseInitializeUpdateResponse,
  responseData,
  scp02HostCryptogram,
  scp03HostCryptogram,
  statusWord,
  tdesEcbEncrypt,
  unhex,
  wrapScp02Command,
  wrapScp02ExternalAuthenticate,
  wrapScp03Command,
  wrapScp03ExternalAuthenticate,
} from '@cardwright/emv';
import { type VirtualCard, type VirtualCardOptions, createVirtualCard } from '../src/index.ts';
import { type TestCardData, type TestDgi, type TestInstance } from './personalization-data.ts';

/** The well-known GlobalPlatform test key. */
export const KMC = unhex('404142434445464748494A4B4C4D4E4F');
export const SERIAL = unhex('00017A3C5D2E');
export const PROTOCOLS = ['SCP02', 'SCP03'] as const;
const USABLE_BYTES = 231;

export function makeBlank(
  secureChannel: 'SCP02' | 'SCP03',
  options: Partial<VirtualCardOptions> = {},
): VirtualCard {
  return createVirtualCard({ secureChannel, kmc: KMC, serial: SERIAL, ...options });
}

/** Sends a command given in hexadecimal; returns data and status word in hexadecimal. */
export function send(card: VirtualCard, command: string): { data: string; sw: string } {
  const response = card.transmit(unhex(command));
  return { data: hex(responseData(response)), sw: statusWord(response) };
}

export function select(card: VirtualCard, aid: string): { data: string; sw: string } {
  return send(card, hex(encodeCommand({ cla: 0, ins: 0xa4, p1: 4, p2: 0, data: unhex(aid), le: 256 })));
}

export interface HostSession {
  /** The next command, wrapped; the session moves on. */
  wrap(command: CommandApdu): Uint8Array;
  /** Wraps and sends; returns the status word. */
  exchange(command: CommandApdu): string;
  /** Wraps and sends; returns the whole response. */
  transmit(command: CommandApdu): Uint8Array;
  encipher(value: Uint8Array): Uint8Array;
}

interface Handshake {
  readonly externalAuthenticate: Uint8Array;
  readonly session: HostSession;
}

/** Runs INITIALIZE UPDATE and prepares the rest. */
export function beginSession(
  card: VirtualCard,
  options: {
    readonly level?: number;
    readonly kmc?: Uint8Array;
    readonly keys?: SecureChannelStaticKeys;
  } = {},
): Handshake {
  const level = options.level ?? 0x03;
  const hostChallenge = new Uint8Array(randomBytes(8));
  const answer = card.transmit(concatBytes(unhex('8050000008'), hostChallenge, unhex('00')));
  const response = parseInitializeUpdateResponse(responseData(answer));
  const kmc = options.kmc ?? KMC;
  const derive = (purpose: 1 | 2 | 3): Uint8Array =>
    response.protocol === 'SCP02'
      ? tdesEcbEncrypt(kmc, cpsCardKeyData(response.keyData, purpose))
      : aesCmac(kmc, kdf3Input(purpose, response.keyData));
  const staticKeys = options.keys ?? { enc: derive(1), mac: derive(2), dek: derive(3) };
  if (response.protocol === 'SCP02') {
    const keys = deriveScp02SessionKeys(staticKeys, response.sequence);
    const cryptogram = scp02HostCryptogram(keys, { hostChallenge, ...response });
    const { apdu, channel } = wrapScp02ExternalAuthenticate(keys, level, cryptogram);
    const encipher = (value: Uint8Array): Uint8Array => tdesEcbEncrypt(keys.dek, value);
    return { externalAuthenticate: apdu, session: hostSession(card, channel, encipher) };
  }
  const keys = deriveScp03SessionKeys(staticKeys, hostChallenge, response.cardChallenge);
  const cryptogram = scp03HostCryptogram(keys, hostChallenge, response.cardChallenge);
  const { apdu, channel } = wrapScp03ExternalAuthenticate(keys, level, cryptogram);
  const encipher = (value: Uint8Array): Uint8Array =>
    aesCbcEncrypt(keys.dek, new Uint8Array(16), value.length % 16 === 0 ? value : pad80(value, 16));
  return { externalAuthenticate: apdu, session: hostSession(card, channel, encipher) };
}

/** Opens a session that must succeed. */
export function openSession(
  card: VirtualCard,
  options: { readonly level?: number; readonly keys?: SecureChannelStaticKeys } = {},
): HostSession {
  const { externalAuthenticate, session } = beginSession(card, options);
  const sw = statusWord(card.transmit(externalAuthenticate));
  if (sw !== '9000') throw new Error(`EXTERNAL AUTHENTICATE answered ${sw}`);
  return session;
}

function hostSession(
  card: VirtualCard,
  start: Scp02Channel | Scp03Channel,
  encipher: (value: Uint8Array) => Uint8Array,
): HostSession {
  let channel = start;
  const wrap = (command: CommandApdu): Uint8Array => {
    const wrapped =
      channel.protocol === 'SCP02' ? wrapScp02Command(channel, command) : wrapScp03Command(channel, command);
    channel = wrapped.channel;
    return wrapped.apdu;
  };
  const transmit = (command: CommandApdu): Uint8Array => card.transmit(wrap(command));
  return { wrap, transmit, exchange: (command) => statusWord(transmit(command)), encipher };
}

export function installForPersonalization(aid: Uint8Array): CommandApdu {
  const data = concatBytes(unhex('0000'), Uint8Array.of(aid.length), aid, unhex('000000'));
  return { cla: 0x80, ins: 0xe6, p1: 0x20, p2: 0, data };
}

export function storeData(p1: number, p2: number, data: Uint8Array): CommandApdu {
  return { cla: 0x80, ins: 0xe2, p1, p2, data };
}

/** One DGI as it goes into STORE DATA of this session. */
export function encodeForSession(session: HostSession, dgi: TestDgi): Uint8Array {
  return encodeDgi(dgi.id, dgi.isSecret ? session.encipher(dgi.value) : dgi.value);
}

/** All STORE DATA commands of one instance: one DGI per command, long ones over several. */
export function storeDataCommands(session: HostSession, dgis: readonly TestDgi[]): CommandApdu[] {
  const chunks = dgis.flatMap((dgi) => {
    const encoded = encodeForSession(session, dgi);
    const count = Math.ceil(encoded.length / USABLE_BYTES);
    return Array.from({ length: count }, (_, index) => ({
      p1: dgi.isSecret ? 0x60 : 0x00,
      data: encoded.slice(index * USABLE_BYTES, (index + 1) * USABLE_BYTES),
    }));
  });
  return chunks.map(({ p1, data }, index) =>
    storeData(p1 | (index === chunks.length - 1 ? 0x80 : 0), index & 0xff, data),
  );
}

/** Status words of a whole instance: INSTALL, then every STORE DATA, up to the first that is not 9000. */
export function personalizeInstance(session: HostSession, instance: TestInstance): string[] {
  const statusWords: string[] = [];
  const commands = [installForPersonalization(instance.aid), ...storeDataCommands(session, instance.dgis)];
  for (const command of commands) {
    const sw = session.exchange(command);
    statusWords.push(sw);
    if (sw !== '9000') break;
  }
  return statusWords;
}

/** Personalizes all three instances; throws when the card refuses anything. */
export function personalize(card: VirtualCard, data: TestCardData): void {
  const session = openSession(card);
  for (const instance of [data.pse, data.ppse, data.application]) {
    const last = personalizeInstance(session, instance).at(-1);
    if (last !== '9000') throw new Error(`personalization answered ${String(last)}`);
  }
  card.reset();
}

export function lifeCycleOf(card: VirtualCard, aid: string): string | undefined {
  return card.inspect().applications.find((application) => application.aid === aid)?.lifeCycle;
}
