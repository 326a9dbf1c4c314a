/**
 * The whole APDU script that personalizes one chip, computed up front inside the key boundary.
 *
 * Invariants: the card cryptogram is checked before any command is made, and never tried against another key
 * (chips block after about ten failures); the station gets wrapped commands only; every derived key is released
 * whatever happens; labels name steps, never data.
 */
import { type CommandApdu, concatBytes, hex, type InitializeUpdateResponse, ins } from '@cardwright/emv';
import { type DekMode, type KeyHandle, type KeyPort } from '@cardwright/keys';
import { decideCardResponse, type SecureChannelProtocol } from './card-response.ts';
import { deriveScp02CardKeys, openScp02Channel } from './scp02-channel.ts';
import { deriveScp03CardKeys, openScp03Channel } from './scp03-channel.ts';
import { HeldKeys, type SecureChannel } from './secure-channel.ts';
import { cpsPacking, type ReadyDgi, type StoreDataPacking, storeDataCommands } from './store-data.ts';

/** C-MAC and C-ENC: response protection would need the card's answers and so a round trip per command. */
const securityLevel = 0x03;
const hostChallengeLength = 8;

export interface ScriptStep {
  /** Upper-case hexadecimal. */
  readonly apdu: string;
  /** Status words that mean success. */
  readonly expect: string[];
  readonly label: string;
}

/** A data grouping in clear, or one whose value is enciphered for the card once its DEK exists. */
export type PreparedDgi =
  | { readonly id: string; readonly value: Uint8Array }
  | { readonly id: string; readonly encrypt: (dek: KeyHandle, mode: DekMode) => Promise<Uint8Array> };

/** One application on the chip, personalized through its security domain. */
export interface PersonalizationInstance {
  readonly aid: Uint8Array;
  readonly dgis: readonly PreparedDgi[];
}

export interface PersonalizationRequest {
  /** Master key for SCP02 chips (TDES). Without it SCP02 is not allowed. */
  readonly kmcScp02?: KeyHandle;
  /** Master key for SCP03 chips (AES-128). Without it SCP03 is not allowed. */
  readonly kmcScp03?: KeyHandle;
  /** From `beginSecureChannel`, used for one chip only. */
  readonly hostChallenge: Uint8Array;
  /** Response data, with or without status word. */
  readonly initializeUpdateResponse: Uint8Array;
  readonly allowedProtocols: readonly SecureChannelProtocol[];
  readonly instances: readonly PersonalizationInstance[];
  /** What the applet wants of STORE DATA; default: EMV CPS, full commands. */
  readonly packing?: StoreDataPacking;
}

export type PersonalizationScript =
  | {
      readonly ok: true;
      readonly protocol: SecureChannelProtocol;
      readonly script: ScriptStep[];
      /** `terminate[k]` kills the chip after exactly k script commands were sent; null for 0: no session. */
      readonly terminate: (ScriptStep | null)[];
    }
  | {
      readonly ok: false;
      readonly reason: 'CARD_CRYPTOGRAM_INVALID' | 'RESPONSE_MALFORMED' | 'PROTOCOL_NOT_ALLOWED';
    };

/** INITIALIZE UPDATE (default key version) with a fresh host challenge of 8 bytes. */
export function beginSecureChannel(keys: KeyPort): {
  initializeUpdate: Uint8Array;
  hostChallenge: Uint8Array;
} {
  const hostChallenge = keys.randomBytes(hostChallengeLength);
  const header = Uint8Array.of(0x80, ins.initializeUpdate, 0x00, 0x00, hostChallengeLength);
  return { initializeUpdate: concatBytes(header, hostChallenge, Uint8Array.of(0x00)), hostChallenge };
}

/**
 * Checks the card and computes its script.
 * @returns a refusal as a value; then nothing may be sent to this card
 * @throws KeyError from the key port; RangeError for an impossible request
 */
export async function createPersonalizationScript(
  keys: KeyPort,
  request: PersonalizationRequest,
): Promise<PersonalizationScript> {
  const { hostChallenge, initializeUpdateResponse, instances } = request;
  if (hostChallenge.length !== hostChallengeLength) throw new RangeError('a host challenge has 8 bytes');
  const decision = decideCardResponse(initializeUpdateResponse, protocolsWithKey(request));
  if (!decision.ok) return decision;
  const { response } = decision;
  const held = new HeldKeys(keys);
  try {
    const channel = await openChannel(keys, held, request, response);
    if (!channel) return { ok: false, reason: 'CARD_CRYPTOGRAM_INVALID' };
    const commands = await planCommands(channel, instances, request.packing ?? cpsPacking);
    return { ok: true, protocol: response.protocol, ...(await wrapAll(channel, commands)) };
  } finally {
    await held.releaseAll();
  }
}

function protocolsWithKey(request: PersonalizationRequest): SecureChannelProtocol[] {
  return request.allowedProtocols.filter((protocol) =>
    protocol === 'SCP02' ? request.kmcScp02 !== undefined : request.kmcScp03 !== undefined,
  );
}

async function openChannel(
  keys: KeyPort,
  held: HeldKeys,
  { kmcScp02, kmcScp03, hostChallenge }: PersonalizationRequest,
  response: InitializeUpdateResponse,
): Promise<SecureChannel | undefined> {
  const { keyData } = response;
  const kmc = response.protocol === 'SCP02' ? kmcScp02 : kmcScp03;
  if (!kmc) throw new Error(`no master key for ${response.protocol}`);
  switch (response.protocol) {
    case 'SCP02': {
      const card = await deriveScp02CardKeys(keys, held, kmc, keyData);
      return openScp02Channel(keys, held, card, response, hostChallenge, securityLevel);
    }
    case 'SCP03': {
      const card = await deriveScp03CardKeys(keys, held, kmc, keyData);
      return openScp03Channel(keys, held, card, response, hostChallenge, securityLevel);
    }
  }
}

interface PlannedCommand {
  readonly command: CommandApdu;
  readonly label: string;
}

async function planCommands(
  channel: SecureChannel,
  instances: readonly PersonalizationInstance[],
  packing: StoreDataPacking,
): Promise<PlannedCommand[]> {
  const planned: PlannedCommand[] = [];
  for (const [index, { aid, dgis }] of instances.entries()) {
    const application = `application ${index + 1} of ${instances.length}`;
    planned.push({ command: installForPersonalization(aid), label: `INSTALL for ${application}` });
    const ready: ReadyDgi[] = [];
    for (const dgi of dgis) ready.push(await readyDgi(channel, dgi));
    const blocks = storeDataCommands(ready, packing);
    for (const [number, command] of blocks.entries()) {
      planned.push({ command, label: `STORE DATA ${number + 1} of ${blocks.length}, ${application}` });
    }
  }
  return planned;
}

async function readyDgi(channel: SecureChannel, dgi: PreparedDgi): Promise<ReadyDgi> {
  if ('value' in dgi) return { id: dgi.id, value: dgi.value, isEnciphered: false };
  return { id: dgi.id, value: await dgi.encrypt(channel.dek, channel.dekMode), isEnciphered: true };
}

/** INSTALL [for personalization]: the STORE DATA that follow go to the application. (GP 11.5.2.3.6) */
function installForPersonalization(aid: Uint8Array): CommandApdu {
  if (aid.length < 5 || aid.length > 16) throw new RangeError('an AID has 5 to 16 bytes');
  const data = concatBytes(Uint8Array.of(0x00, 0x00, aid.length), aid, new Uint8Array(3));
  return { cla: 0x80, ins: ins.install, p1: 0x20, p2: 0x00, data };
}

/** SET STATUS of the card to TERMINATED: irreversible. (GP 11.10) */
const terminateCard: CommandApdu = { cla: 0x80, ins: ins.setStatus, p1: 0x80, p2: 0xff };

async function wrapAll(
  channel: SecureChannel,
  commands: readonly PlannedCommand[],
): Promise<{ script: ScriptStep[]; terminate: (ScriptStep | null)[] }> {
  let { apdu, state } = await channel.externalAuthenticate();
  const script = [scriptStep(apdu, 'EXTERNAL AUTHENTICATE')];
  const terminate = [null, scriptStep((await channel.wrap(state, terminateCard)).apdu, 'TERMINATE')];
  for (const { command, label } of commands) {
    ({ apdu, state } = await channel.wrap(state, command));
    script.push(scriptStep(apdu, label));
    terminate.push(scriptStep((await channel.wrap(state, terminateCard)).apdu, 'TERMINATE'));
  }
  return { script, terminate };
}

function scriptStep(apdu: Uint8Array, label: string): ScriptStep {
  return { apdu: hex(apdu), expect: ['9000'], label };
}
