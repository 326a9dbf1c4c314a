/**
 * The reference product `DEBIT_STD` on payment configuration `CCD_3DES_01`: scheme-neutral, under our own RID,
 * described openly by the EMV Books (cryptogram version CCI A5, EMV CSK, DDA and CDA, online PIN first).
 */
import { type ProductProfile } from './product-profile.ts';

const amountSet = '9F02069F03069F1A0295055F2A029A039C019F3704';

export const ccd3desProfile: ProductProfile = {
  productId: 'DEBIT_STD',
  config: 'CCD_3DES_01',
  expiryOrder: 'YYMM',
  panLength: { min: 12, max: 19 },
  serviceCode: '201',
  // Ten digits: the longest that a 19-digit PAN leaves in 37 positions.
  chipDiscretionary: ['00000', 'icvv', '00'],
  // Sixteen digits of track 1 and ten of track 2 are free beside the longest card number and name.
  stripe: { track1: '000000|cvv|000000', track2: '0000|cvv|000' },
  // Online PIN, else the chip's own where the terminal can, else signature, else no CVM.
  pin: { block: 'ISO9564-2', cvmList: '0000000000000000' + '4203' + '4103' + '1E03' + '1F03' },
  udkOption: 'B',
  iccKeyBits: 1152,
  keys: {
    oda: { '1': { caKey: 'ca/1', caIndex: '01', issuerKey: 'issuer/1' } },
    derivation: { '1': { ac: 'imk-ac/1', smi: 'imk-smi/1', smc: 'imk-smc/1', dki: '01' } },
    cv: { '1': 'cvk/1' },
    pv: { '1': 'pvk/1' },
    defaultCvIndex: '1',
  },
  secureChannels: [
    { protocol: 'SCP03', masterKey: 'kmc-scp03/1' },
    {
      protocol: 'SCP02',
      masterKey: 'kmc-scp02/1',
      waiver: 'Sandbox product: chips without SCP03; secret DGIs are enciphered under the session DEK',
    },
  ],
  print: { design: 'aurora', printsName: true, pan: 'full', printsSecurityCode: true },
  remake: { maxRemakes: 1, remakeAfterTerminate: false },
  emv: {
    rid: 'F043415244',
    aid: 'F0434152440001',
    pseAid: '315041592E5359532E4444463031',
    ppseAid: '325041592E5359532E4444463031',
    label: 'CARDWRIGHT DEBIT',
    languages: 'jaen',
    // DDA, cardholder verification, terminal risk management, CDA.
    aip: '3900',
    auc: 'FFC0',
    applicationVersion: '0001',
    cdol1: amountSet,
    cdol2: `8A02${amountSet}9108`,
    ddol: '9F3704',
    // Online PIN if supported, else signature if supported, else no CVM.
    cvmList: '0000000000000000' + '4203' + '1E03' + '1F03',
    // Mirrors of the TVR. Offline authentication failed or not done, new card, limits exceeded: go online.
    iacDefault: 'FC50ACA000',
    iacDenial: '0000000000',
    iacOnline: 'FC70BC9800',
    countryCode: '0392',
    currencyCode: '0392',
    currencyExponent: '00',
    cci: 'A5',
    atcStart: '0000',
    lowerOfflineLimit: '00',
    upperOfflineLimit: '00',
    pinTryLimit: '03',
  },
};

/** Every product this version knows, by `productId`. */
export const productProfiles: readonly ProductProfile[] = [ccd3desProfile];
