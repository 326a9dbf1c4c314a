/**
 * GENERATE AC, first and second, with or without CDA (EMV Book 2, 6.6 and 8; Book 3, 6.5.5), CCD style.
 *
 * Invariants: at most two cryptograms per transaction, the second only after an ARQC; the issuer's orders are
 * obeyed only when its ARPC verified; the cryptogram covers the IAD that the answer carries.
 */
import {
  type CommandApdu,
  applicationCryptogram,
  arpcMethod2,
  atcDiversifier,
  cdaBlock,
  concatBytes,
  deriveCsk,
  dolDataLength,
  equalBytes,
  splitDolData,
  tlv,
  transactionDataHash,
  uintBytes,
} from '@cardwright/emv';
import { type PaymentContents } from './application-contents.ts';
import {
  type CryptogramType,
  type IssuerAuthentication,
  type IssuerOrders,
  type RiskFacts,
  CRYPTOGRAM_CODE,
  decideFirstCryptogram,
  decideSecondCryptogram,
  isUnableToGoOnline,
  issuerOrders,
  requestedCryptogram,
} from './cryptogram-decision.ts';
import { issuerApplicationData } from './cryptogram-version.ts';
import { type CrtPrivateKey, signBlock } from './crt-private-key.ts';
import {
  type InitiatedTransaction,
  type OnlineTransaction,
  type PaymentTransaction,
} from './payment-transaction.ts';
import { type StatusWord, SW, accept, refuse } from './status-word.ts';

/** What a verified issuer answer asks of the card as a whole. */
export type BlockOrder = 'block-application' | 'block-card';

interface GenerateAcOutcome {
  readonly response: Uint8Array;
  readonly transaction: PaymentTransaction;
  readonly blockOrder?: BlockOrder;
}

interface GenerateAcServices {
  readonly random: (bytes: number) => Uint8Array;
  readonly signsAac: boolean;
}

const AIP_CDA = 0x01;
const ISSUER_AUTHENTICATION_BYTES = 8;
const FINISHED: PaymentTransaction = { stage: 'finished' };

/** Executes GENERATE AC in whatever state the transaction is. */
export function performGenerateAc(
  contents: PaymentContents,
  transaction: PaymentTransaction,
  command: CommandApdu,
  services: GenerateAcServices,
): GenerateAcOutcome {
  const no = (statusWord: StatusWord): GenerateAcOutcome => ({ response: refuse(statusWord), transaction });
  const request = requestedCryptogram(command.p1);
  if (request === undefined || command.p2 !== 0) return no(SW.parametersWrong);
  if (transaction.stage !== 'initiated' && transaction.stage !== 'online')
    return no(SW.conditionsNotSatisfied);
  if (request.isCda && !canSign(contents)) return no(SW.conditionsNotSatisfied);
  const dol = transaction.stage === 'initiated' ? contents.cdol1 : contents.cdol2;
  const data = command.data ?? new Uint8Array(0);
  if (data.length !== dolDataLength(dol)) return no(SW.lengthWrong);
  if (transaction.stage === 'initiated') return first(contents, transaction, request, data, services);
  if (request.type === 'ARQC') return no(SW.conditionsNotSatisfied);
  return second(contents, transaction, { type: request.type, isCda: request.isCda }, data, services);
}

function canSign(contents: PaymentContents): boolean {
  return contents.signingKey !== undefined && ((contents.aip[0] ?? 0) & AIP_CDA) !== 0;
}

function first(
  contents: PaymentContents,
  transaction: InitiatedTransaction,
  request: { readonly type: CryptogramType; readonly isCda: boolean },
  cdol1Data: Uint8Array,
  services: GenerateAcServices,
): GenerateAcOutcome {
  const { counters } = contents;
  const risk = riskFacts(contents, transaction);
  const type = decideFirstCryptogram(request.type, risk);
  const signingKey = signingKeyFor(contents, request.isCda, type, services);
  const iad = issuerApplicationData(contents.cryptogramVersion, contents.defaultIad, {
    ...transactionFacts(contents, transaction),
    first: type,
    second: 'not-requested',
    isCdaPerformed: signingKey !== undefined,
    issuer: undefined,
    risk,
  });
  const sessionKey = deriveCsk(contents.acMasterKey, atcDiversifier(counters.atc));
  const cryptogram = cryptogramOver(contents, sessionKey, cdol1Data, iad);
  const response = answer(contents, { type, cryptogram, iad, signingKey }, services, {
    unpredictableNumber: splitDolData(contents.cdol1, cdol1Data).get('9F37'),
    terminalData: concatBytes(transaction.pdolData, cdol1Data),
  });
  if (type !== 'ARQC') return { response, transaction: FINISHED };
  counters.isLastOnlineIncomplete = true;
  return {
    response,
    transaction: {
      ...transaction,
      stage: 'online',
      cdol1Data,
      sessionKey,
      arqc: cryptogram,
      isCdaPerformed: signingKey !== undefined,
    },
  };
}

function second(
  contents: PaymentContents,
  transaction: OnlineTransaction,
  request: { readonly type: 'AAC' | 'TC'; readonly isCda: boolean },
  cdol2Data: Uint8Array,
  services: GenerateAcServices,
): GenerateAcOutcome {
  const { counters } = contents;
  const values = splitDolData(contents.cdol2, cdol2Data);
  const verdict = authenticateIssuer(transaction, values);
  const risk = riskFacts(contents, transaction);
  const type = decideSecondCryptogram(request.type, verdict.authentication, risk);
  const blockOrder = verdict.orders === undefined ? undefined : obey(contents, verdict.orders);
  counters.isLastOnlineIncomplete = false;
  const signingKey = signingKeyFor(contents, request.isCda, type, services);
  const iad = issuerApplicationData(contents.cryptogramVersion, contents.defaultIad, {
    ...transactionFacts(contents, transaction),
    first: 'ARQC',
    second: type,
    isCdaPerformed: transaction.isCdaPerformed || signingKey !== undefined,
    issuer: verdict.authentication,
    risk,
  });
  const cryptogram = cryptogramOver(
    contents,
    transaction.sessionKey,
    latestCdol1(contents, transaction, values),
    iad,
  );
  const response = answer(contents, { type, cryptogram, iad, signingKey }, services, {
    unpredictableNumber: values.get('9F37'),
    terminalData: concatBytes(transaction.pdolData, transaction.cdol1Data, cdol2Data),
  });
  return { response, transaction: FINISHED, ...(blockOrder === undefined ? {} : { blockOrder }) };
}

/** Tag 91 as CDOL2 brings it: ARPC (method 2, 4 bytes) and CSU (4 bytes); all zeros when nothing came. */
function authenticateIssuer(
  transaction: OnlineTransaction,
  values: ReadonlyMap<string, Uint8Array>,
): { authentication: IssuerAuthentication; orders?: IssuerOrders } {
  const data = values.get('91') ?? new Uint8Array(ISSUER_AUTHENTICATION_BYTES);
  const isReceived = data.length === ISSUER_AUTHENTICATION_BYTES && data.some((byte) => byte !== 0);
  if (!isReceived) {
    const responseCode = values.get('8A') ?? new Uint8Array(0);
    return {
      authentication: { kind: 'not-received', isUnableToGoOnline: isUnableToGoOnline(responseCode) },
    };
  }
  const csu = data.subarray(4, 8);
  const expected = arpcMethod2(transaction.sessionKey, transaction.arqc, csu);
  if (!equalBytes(expected, data.subarray(0, 4))) return { authentication: { kind: 'failed' } };
  const orders = issuerOrders(csu);
  return { authentication: { kind: 'verified', isApproved: orders.isApproved }, orders };
}

/** Carries out what a verified CSU orders inside the application; says what must happen to the card. */
function obey(contents: PaymentContents, orders: IssuerOrders): BlockOrder | undefined {
  const { counters } = contents;
  if (orders.pinTries !== undefined) counters.pinTriesLeft = Math.min(orders.pinTries, contents.pinTryLimit);
  counters.goesOnlineNext = orders.goesOnlineNext;
  if (orders.resetsCounters) counters.lastOnlineAtc = counters.atc;
  if (orders.blocksCard) return 'block-card';
  return orders.blocksApplication ? 'block-application' : undefined;
}

function riskFacts(
  contents: PaymentContents,
  transaction: InitiatedTransaction | OnlineTransaction,
): RiskFacts {
  return {
    offlineTransactions: contents.counters.atc - contents.counters.lastOnlineAtc,
    lowerOfflineLimit: contents.lowerOfflineLimit,
    upperOfflineLimit: contents.upperOfflineLimit,
    mustGoOnline: transaction.hadToGoOnline || transaction.wasLastOnlineIncomplete,
  };
}

function transactionFacts(contents: PaymentContents, transaction: InitiatedTransaction | OnlineTransaction) {
  return {
    isDdaPerformed: transaction.isDdaPerformed,
    pin: transaction.pin,
    pinTriesLeft: contents.counters.pinTriesLeft,
    isLastOnlineIncomplete: transaction.wasLastOnlineIncomplete,
    goesOnlineNext: transaction.hadToGoOnline,
  };
}

/** A card signs no AAC, unless a foreign terminal needs it to (knob). */
function signingKeyFor(
  contents: PaymentContents,
  isCdaRequested: boolean,
  type: CryptogramType,
  services: GenerateAcServices,
): CrtPrivateKey | undefined {
  if (!isCdaRequested || (type === 'AAC' && !services.signsAac)) return undefined;
  return contents.signingKey;
}

function cryptogramOver(
  contents: PaymentContents,
  sessionKey: Uint8Array,
  terminalValues: Uint8Array,
  iad: Uint8Array,
): Uint8Array {
  const input = concatBytes(terminalValues, contents.aip, uintBytes(contents.counters.atc, 2), iad);
  return applicationCryptogram(sessionKey, input, 2);
}

/** The CDOL1 values as the terminal sent them last: from the second command where its list has the tag. */
function latestCdol1(
  contents: PaymentContents,
  transaction: OnlineTransaction,
  secondValues: ReadonlyMap<string, Uint8Array>,
): Uint8Array {
  const firstValues = splitDolData(contents.cdol1, transaction.cdol1Data);
  return concatBytes(
    ...contents.cdol1.map(({ tag, length }) => {
      const latest = secondValues.get(tag);
      return latest?.length === length ? latest : (firstValues.get(tag) ?? new Uint8Array(length));
    }),
  );
}

/** Template 77: CID, ATC, then signature or cryptogram, then IAD. */
function answer(
  contents: PaymentContents,
  result: {
    readonly type: CryptogramType;
    readonly cryptogram: Uint8Array;
    readonly iad: Uint8Array;
    readonly signingKey: CrtPrivateKey | undefined;
  },
  services: GenerateAcServices,
  signed: { readonly unpredictableNumber: Uint8Array | undefined; readonly terminalData: Uint8Array },
): Uint8Array {
  const cid = CRYPTOGRAM_CODE[result.type];
  const head = concatBytes(tlv('9F27', Uint8Array.of(cid)), tlv('9F36', uintBytes(contents.counters.atc, 2)));
  const tail = tlv('9F10', result.iad);
  if (result.signingKey === undefined) {
    return accept(tlv('77', concatBytes(head, tlv('9F26', result.cryptogram), tail)));
  }
  const fields = {
    iccDynamicNumber: services.random(8),
    cid,
    cryptogram: result.cryptogram,
    transactionDataHash: transactionDataHash(signed.terminalData, head, tail),
  };
  const { modulusBytes } = result.signingKey;
  const unpredictableNumber = signed.unpredictableNumber ?? new Uint8Array(0);
  const signature = signBlock(result.signingKey, cdaBlock(modulusBytes, fields, unpredictableNumber));
  return accept(tlv('77', concatBytes(head, tlv('9F4B', signature), tail)));
}
