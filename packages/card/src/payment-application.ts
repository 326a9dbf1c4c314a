/**
 * The payment application's commands, except GENERATE AC (which has a file of its own).
 *
 * Invariants: nothing works before personalization or while the application is locked; GPO raises the ATC exactly
 * once per selection; a PIN try is taken before the PIN is compared.
 */
import { type CommandApdu, ddaBlock, dolDataLength, equalBytes, tlv, uintBytes } from '@cardwright/emv';
import { type PaymentContents } from './application-contents.ts';
import { type ApplicationInstance } from './card-memory.ts';
import { signBlock } from './crt-private-key.ts';
import { type BlockOrder, performGenerateAc } from './generate-ac.ts';
import { type InitiatedTransaction, type PaymentTransaction } from './payment-transaction.ts';
import { type StatusWord, SW, accept, refuse } from './status-word.ts';

interface PaymentOutcome {
  readonly response: Uint8Array;
  readonly transaction: PaymentTransaction;
  /** What the issuer ordered in a verified CSU. */
  readonly blockOrder?: BlockOrder;
}

interface PaymentServices {
  readonly random: (bytes: number) => Uint8Array;
  readonly signsAac: boolean;
}

const MAX_ATC = 0xffff;
const DYNAMIC_NUMBER_BYTES = 8;
const AIP_DDA = 0x20;
const COMMANDS: ReadonlyMap<number, number> = new Map([
  [0xa8, 0x80],
  [0xae, 0x80],
  [0xb2, 0x00],
  [0x88, 0x00],
  [0x20, 0x00],
  [0xca, 0x80],
]);

/** Executes one command of the selected payment application. */
export function performPaymentCommand(
  instance: ApplicationInstance,
  transaction: PaymentTransaction,
  command: CommandApdu,
  services: PaymentServices,
): PaymentOutcome {
  const cla = COMMANDS.get(command.ins);
  const stay = (response: Uint8Array): PaymentOutcome => ({ response, transaction });
  if (cla === undefined) return stay(refuse(SW.instructionUnknown));
  if (command.cla !== cla) return stay(refuse(SW.classUnknown));
  const { contents } = instance;
  if (contents?.kind !== 'payment' || instance.isLocked) return stay(refuse(SW.conditionsNotSatisfied));
  switch (command.ins) {
    case 0xa8:
      return getProcessingOptions(contents, transaction, command);
    case 0xb2:
      return stay(readRecord(contents, command));
    case 0x88:
      return internalAuthenticate(contents, transaction, command, services);
    case 0x20:
      return verifyPin(contents, transaction, command);
    case 0xca:
      return stay(getData(contents, command));
    default:
      return performGenerateAc(contents, transaction, command, services);
  }
}

function getProcessingOptions(
  contents: PaymentContents,
  transaction: PaymentTransaction,
  command: CommandApdu,
): PaymentOutcome {
  const no = (statusWord: StatusWord): PaymentOutcome => ({ response: refuse(statusWord), transaction });
  if (command.p1 !== 0 || command.p2 !== 0) return no(SW.parametersWrong);
  if (transaction.stage !== 'selected') return no(SW.conditionsNotSatisfied);
  const length = dolDataLength(contents.pdol);
  const data = command.data ?? new Uint8Array(0);
  const template = tlv('83', new Uint8Array(length));
  if (data.length !== template.length) return no(SW.lengthWrong);
  const prefixBytes = template.length - length;
  if (!equalBytes(data.subarray(0, prefixBytes), template.subarray(0, prefixBytes))) return no(SW.dataWrong);
  const { counters } = contents;
  if (counters.atc >= MAX_ATC) return no(SW.conditionsNotSatisfied);
  counters.atc += 1;
  return {
    response: accept(tlv('77', contents.gpoResponse)),
    transaction: {
      stage: 'initiated',
      pdolData: data.slice(prefixBytes),
      isDdaPerformed: false,
      pin: 'not-performed',
      wasLastOnlineIncomplete: counters.isLastOnlineIncomplete,
      hadToGoOnline: counters.goesOnlineNext,
    },
  };
}

function readRecord(contents: PaymentContents, command: CommandApdu): Uint8Array {
  const record = contents.records.read(command.p1, command.p2);
  return record.ok ? accept(record.value) : refuse(record.statusWord);
}

/** Dynamic data authentication: signs a fresh ICC dynamic number together with the terminal's DDOL data. */
function internalAuthenticate(
  contents: PaymentContents,
  transaction: PaymentTransaction,
  command: CommandApdu,
  services: PaymentServices,
): PaymentOutcome {
  const no = (statusWord: StatusWord): PaymentOutcome => ({ response: refuse(statusWord), transaction });
  if (command.p1 !== 0 || command.p2 !== 0) return no(SW.parametersWrong);
  const isOffered = ((contents.aip[0] ?? 0) & AIP_DDA) !== 0;
  if (transaction.stage !== 'initiated' || !isOffered || contents.signingKey === undefined) {
    return no(SW.conditionsNotSatisfied);
  }
  const ddolData = command.data ?? new Uint8Array(0);
  if (ddolData.length !== dolDataLength(contents.ddol)) return no(SW.lengthWrong);
  const dynamicNumber = services.random(DYNAMIC_NUMBER_BYTES);
  const block = ddaBlock(contents.signingKey.modulusBytes, dynamicNumber, ddolData);
  const signature = signBlock(contents.signingKey, block);
  return {
    response: accept(tlv('77', tlv('9F4B', signature))),
    transaction: { ...transaction, isDdaPerformed: true },
  };
}

/** Plaintext PIN in format 2. */
function verifyPin(
  contents: PaymentContents,
  transaction: PaymentTransaction,
  command: CommandApdu,
): PaymentOutcome {
  const no = (statusWord: StatusWord): PaymentOutcome => ({ response: refuse(statusWord), transaction });
  if (command.p1 !== 0 || command.p2 !== 0x80) return no(SW.parametersWrong);
  if (transaction.stage !== 'initiated') return no(SW.conditionsNotSatisfied);
  if (contents.referencePin === undefined) return no(SW.referenceNotFound);
  const { counters } = contents;
  if (counters.pinTriesLeft === 0) return no(SW.authenticationBlocked);
  if (command.data?.length !== contents.referencePin.length) return no(SW.lengthWrong);
  counters.pinTriesLeft -= 1;
  const pin: InitiatedTransaction['pin'] = equalBytes(command.data, contents.referencePin)
    ? 'verified'
    : 'failed';
  if (pin === 'verified') counters.pinTriesLeft = contents.pinTryLimit;
  const wrong = `63C${counters.pinTriesLeft.toString(16).toUpperCase()}`;
  return {
    response: pin === 'verified' ? accept() : refuse(wrong),
    transaction: { ...transaction, pin },
  };
}

function getData(contents: PaymentContents, command: CommandApdu): Uint8Array {
  const { counters } = contents;
  switch (command.p1 * 256 + command.p2) {
    case 0x9f36:
      return accept(tlv('9F36', uintBytes(counters.atc, 2)));
    case 0x9f13:
      return accept(tlv('9F13', uintBytes(counters.lastOnlineAtc, 2)));
    case 0x9f17:
      return accept(tlv('9F17', Uint8Array.of(counters.pinTriesLeft)));
    case 0x9f4f:
      return contents.logFormat === undefined
        ? refuse(SW.referenceNotFound)
        : accept(tlv('9F4F', contents.logFormat));
    default:
      return refuse(SW.referenceNotFound);
  }
}
