/**
 * The issuer security domain: secure channel sessions, and what a host may do inside and outside of one.
 *
 * Invariants: a session ends with the first command that does not verify, with a reset and with any SELECT; card
 * content changes only inside a session with C-MAC; the sequence counter moves only when a host proved itself.
 */
import { type CommandApdu, concatBytes, ins, tlv, uintBytes, unhex } from '@cardwright/emv';
import { type CardKnobs } from './card-knobs.ts';
import {
  type ApplicationInstance,
  type CardMemory,
  ISD_AID,
  MAX_AUTHENTICATION_FAILURES,
  findInstance,
} from './card-memory.ts';
import {
  performDelete,
  performInstall,
  performPutKey,
  performSetStatus,
  personalizationTargetAid,
  readStatus,
} from './content-management.ts';
import { decideCompletion, performCompletion, wipeStaged } from './personalization-completion.ts';
import { recordDgiPlace, stageDgi } from './personalization-dgi.ts';
import { beginScp02 } from './secure-channel-scp02.ts';
import { beginScp03 } from './secure-channel-scp03.ts';
import {
  type PendingSecureChannel,
  type PlainCommand,
  type SecureChannel,
  SUPPORTED_LEVELS,
} from './secure-channel.ts';
import { type StatusWord, SW, accept, refuse } from './status-word.ts';
import { type ReceivedDgi, type StoreDataProgress, STORE_DATA_START, decideStoreData } from './store-data.ts';

const CLA_ISO = 0x00;
const CLA_GP = 0x80;
const CLA_WRAPPED = 0x84;
const CHALLENGE_BYTES = 8;
const SCP02_IMPLEMENTATION = 0x15;
const SCP03_IMPLEMENTATION = 0x10;
const INSTALL_FOR_PERSONALIZATION = 0x20;
const GP_OID = '2A864886FC6B';

type ChannelState =
  | { readonly kind: 'none' }
  | { readonly kind: 'challenged'; readonly pending: PendingSecureChannel }
  | { readonly kind: 'open'; readonly channel: SecureChannel };

interface PersonalizationRun {
  readonly instance: ApplicationInstance;
  progress: StoreDataProgress;
}

interface SecurityDomainServices {
  readonly random: (bytes: number) => Uint8Array;
  readonly knobs: CardKnobs;
}

export class SecurityDomain {
  readonly #memory: CardMemory;
  readonly #services: SecurityDomainServices;
  #state: ChannelState = { kind: 'none' };
  #run: PersonalizationRun | undefined;

  constructor(memory: CardMemory, services: SecurityDomainServices) {
    this.#memory = memory;
    this.#services = services;
  }

  /** The instance that STORE DATA goes to now. */
  get personalizationTarget(): ApplicationInstance | undefined {
    return this.#run?.instance;
  }

  /** Forgets session and personalization run: reset, power off, SELECT, or a command that did not verify. */
  endSession(): void {
    this.#state = { kind: 'none' };
    this.#run = undefined;
  }

  /**
   * Executes one command sent to the security domain.
   *
   * @param plannedRefusal a fault: the command passes the secure channel and is then refused with this status word
   */
  execute(command: CommandApdu, plannedRefusal?: StatusWord): Uint8Array {
    if (command.ins === ins.initializeUpdate && command.cla === CLA_GP)
      return this.#initializeUpdate(command);
    if (command.ins === ins.externalAuthenticate && command.cla === CLA_WRAPPED) {
      return this.#externalAuthenticate(command);
    }
    const unwrapped = this.#unwrap(command);
    if (!unwrapped.ok) {
      this.endSession();
      return refuse(unwrapped.statusWord);
    }
    if (plannedRefusal !== undefined) return refuse(plannedRefusal);
    return this.#dispatch(plain(unwrapped.command), unwrapped.channel);
  }

  #initializeUpdate(command: CommandApdu): Uint8Array {
    this.endSession();
    const hostChallenge = command.data ?? new Uint8Array(0);
    const memory = this.#memory;
    if (memory.consecutiveAuthenticationFailures >= MAX_AUTHENTICATION_FAILURES) {
      return refuse(SW.authenticationBlocked);
    }
    if (command.p2 !== 0) return refuse(SW.parametersWrong);
    if (hostChallenge.length !== CHALLENGE_BYTES) return refuse(SW.lengthWrong);
    const keySet =
      command.p1 === 0
        ? memory.keySets[0]
        : memory.keySets.find((candidate) => candidate.version === command.p1);
    if (keySet === undefined) return refuse(SW.referenceNotFound);
    const common = { keySet, keyData: memory.keyData, hostChallenge };
    const pending =
      memory.protocol === 'SCP02'
        ? beginScp02({
            ...common,
            sequence: uintBytes(memory.sequenceCounter & 0xffff, 2),
            cardChallenge: this.#services.random(6),
          })
        : beginScp03({
            ...common,
            sequence: uintBytes(memory.sequenceCounter & 0xffffff, 3),
            invokerAid: ISD_AID,
            implementation: SCP03_IMPLEMENTATION,
          });
    this.#state = { kind: 'challenged', pending };
    return accept(
      this.#services.knobs.hasWrongCardCryptogram === true
        ? withWrongCryptogram(memory, pending.initializeUpdateResponse)
        : pending.initializeUpdateResponse,
    );
  }

  #externalAuthenticate(command: CommandApdu): Uint8Array {
    const state = this.#state;
    this.endSession();
    if (state.kind !== 'challenged') return refuse(SW.conditionsNotSatisfied);
    if (!SUPPORTED_LEVELS.includes(command.p1) || command.p2 !== 0) return refuse(SW.parametersWrong);
    const verdict = state.pending.authenticate(command);
    if (!verdict.ok) {
      this.#memory.consecutiveAuthenticationFailures += 1;
      return refuse(verdict.statusWord);
    }
    this.#memory.consecutiveAuthenticationFailures = 0;
    this.#memory.sequenceCounter += 1;
    this.#state = { kind: 'open', channel: verdict.channel };
    return accept();
  }

  #unwrap(
    command: CommandApdu,
  ):
    | { ok: true; command: CommandApdu; channel: SecureChannel | undefined }
    | { ok: false; statusWord: StatusWord } {
    const isWrapped = command.cla === CLA_WRAPPED;
    if (!isWrapped && command.cla !== CLA_GP && command.cla !== CLA_ISO) {
      return { ok: false, statusWord: SW.classUnknown };
    }
    if (this.#state.kind !== 'open') {
      // A command between INITIALIZE UPDATE and EXTERNAL AUTHENTICATE withdraws the challenge.
      this.#state = { kind: 'none' };
      return isWrapped
        ? { ok: false, statusWord: SW.securityStatus }
        : { ok: true, command, channel: undefined };
    }
    const { channel } = this.#state;
    const isMacRequired = channel.level !== 0;
    if (isWrapped !== isMacRequired) return { ok: false, statusWord: SW.securityStatus };
    const clear = isMacRequired ? channel.unwrap(command) : command;
    return clear === undefined
      ? { ok: false, statusWord: SW.securityStatus }
      : { ok: true, command: clear, channel };
  }

  #dispatch(command: PlainCommand, channel: SecureChannel | undefined): Uint8Array {
    if (command.ins === ins.getData) return this.#getData(command);
    if (command.ins === ins.getStatus) {
      return channel === undefined ? refuse(SW.securityStatus) : readStatus(this.#memory, command);
    }
    const isManaging = [ins.install, ins.storeData, ins.delete, ins.putKey, ins.setStatus].some(
      (known) => known === command.ins,
    );
    if (!isManaging) return refuse(SW.instructionUnknown);
    if (channel === undefined || (channel.level & 0x01) === 0) return refuse(SW.securityStatus);
    if (command.ins === ins.setStatus) return performSetStatus(this.#memory, command);
    if (this.#memory.lifeCycle === 'CARD_LOCKED') return refuse(SW.conditionsNotSatisfied);
    switch (command.ins) {
      case ins.install:
        return this.#install(command);
      case ins.storeData:
        return this.#storeData(command, channel);
      case ins.delete:
        this.#run = undefined;
        return performDelete(this.#memory, command);
      default:
        return performPutKey(this.#memory, command, (value) => channel.decipherSecret(value));
    }
  }

  #install(command: PlainCommand): Uint8Array {
    switch (command.p1) {
      case INSTALL_FOR_PERSONALIZATION:
        return this.#beginPersonalization(command);
      case 0x04:
      case 0x08:
      case 0x0c:
        return performInstall(this.#memory, command);
      default:
        return refuse(SW.parametersWrong);
    }
  }

  #beginPersonalization(command: PlainCommand): Uint8Array {
    this.#run = undefined;
    if (command.p2 !== 0) return refuse(SW.parametersWrong);
    const aid = personalizationTargetAid(command.data);
    if (aid === undefined) return refuse(SW.dataWrong);
    const instance = findInstance(this.#memory, aid);
    if (instance === undefined) return refuse(SW.referenceNotFound);
    if (instance.lifeCycle !== 'SELECTABLE' || instance.isLocked) return refuse(SW.conditionsNotSatisfied);
    // A run that broke off earlier leaves nothing behind.
    wipeStaged(instance);
    this.#run = { instance, progress: STORE_DATA_START };
    return accept(Uint8Array.of(0x00));
  }

  #storeData(command: PlainCommand, channel: SecureChannel): Uint8Array {
    const run = this.#run;
    if (run?.instance.lifeCycle !== 'SELECTABLE' || run.instance.isLocked) {
      return refuse(SW.conditionsNotSatisfied);
    }
    const decision = decideStoreData(run.progress, command, (value) => channel.decipherSecret(value));
    if (!decision.ok) return refuse(decision.statusWord);
    for (const dgi of decision.dgis) {
      const refusal = stageDgi(run.instance, this.#asStored(run.instance, dgi));
      if (refusal !== undefined) return refuse(refusal);
    }
    if (decision.isLast) {
      const completion = decideCompletion(run.instance);
      if (!completion.ok) return refuse(completion.statusWord);
      performCompletion(run.instance, completion.contents);
    }
    run.progress = decision.progress;
    return accept();
  }

  /** The DGI as it reaches the memory: unchanged, unless the card was told to spoil its first record. */
  #asStored(instance: ApplicationInstance, dgi: ReceivedDgi): ReceivedDgi {
    const isFirstRecord =
      instance.kind !== 'directory' &&
      recordDgiPlace(instance.kind, dgi.id) !== undefined &&
      ![...instance.staged.keys()].some((id) => recordDgiPlace(instance.kind, id) !== undefined);
    if (this.#services.knobs.corruptsRecord !== true || !isFirstRecord) return dgi;
    const value = dgi.value.slice();
    value[value.length - 1] = (value.at(-1) ?? 0) ^ 0x01;
    return { ...dgi, value };
  }

  #getData(command: PlainCommand): Uint8Array {
    const memory = this.#memory;
    switch (command.p1 * 256 + command.p2) {
      case 0x9f7f:
        return accept(tlv('9F7F', memory.cplc));
      case 0x0066:
        return accept(cardRecognitionData(memory));
      case 0x00e0:
        return accept(keyInformation(memory));
      case 0x00c1:
        return accept(tlv('C1', uintBytes(memory.sequenceCounter, memory.protocol === 'SCP02' ? 2 : 3)));
      default:
        return refuse(SW.referenceNotFound);
    }
  }
}

function plain(command: CommandApdu): PlainCommand {
  const { cla, ins: instruction, p1, p2 } = command;
  return { cla, ins: instruction, p1, p2, data: command.data ?? new Uint8Array(0) };
}

/** Spoils the card cryptogram: the last 8 bytes under SCP02, before the sequence counter under SCP03. */
function withWrongCryptogram(memory: CardMemory, response: Uint8Array): Uint8Array {
  const spoiled = response.slice();
  const index = memory.protocol === 'SCP02' ? response.length - 1 : response.length - 4;
  spoiled[index] = (spoiled[index] ?? 0) ^ 0x01;
  return spoiled;
}

/** Tag 66: GlobalPlatform 2.3.1, and which secure channel this card speaks. */
function cardRecognitionData(memory: CardMemory): Uint8Array {
  const oid = (suffix: string): Uint8Array => tlv('06', unhex(GP_OID + suffix));
  const scp =
    memory.protocol === 'SCP02'
      ? Uint8Array.of(0x02, SCP02_IMPLEMENTATION)
      : Uint8Array.of(0x03, SCP03_IMPLEMENTATION);
  return tlv('66', [
    tlv('73', [
      oid('01'),
      tlv('60', oid('02020301')),
      tlv('63', oid('03')),
      tlv('64', tlv('06', concatBytes(unhex(`${GP_OID}04`), scp))),
    ]),
  ]);
}

/** Tag E0: identifier, version, type (80 DES, 88 AES) and length of every key. */
function keyInformation(memory: CardMemory): Uint8Array {
  const type = memory.protocol === 'SCP02' ? 0x80 : 0x88;
  return tlv(
    'E0',
    memory.keySets.flatMap((keySet) =>
      [1, 2, 3].map((identifier) =>
        tlv('C0', Uint8Array.of(identifier, keySet.version, type, keySet.enc.length)),
      ),
    ),
  );
}
