/**
 * What stands in a product file (`products/<name>.json`): a profile, keys by name, print template, stock and
 * policies.
 *
 * Invariant: keys are named, never carried; a product gives exactly the values that its profile leaves to it.
 */
import { type Static, Type } from 'typebox';
import { tagPattern } from './profile-file.ts';

const closed = { additionalProperties: false } as const;
const KeyName = Type.String({
  pattern: '^[a-z0-9-]+(/[A-Za-z0-9_-]+)+$',
  description: 'the name of a key in the vault, such as imk-ac/1',
});
const TwoHexDigits = Type.String({
  pattern: '^[0-9A-F]{2}$',
  description: 'two upper-case hexadecimal digits',
});
const KeyIndex = Type.String({
  pattern: '^([1-9][0-9]{0,15}|[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*|0)$',
  description: 'a key index without leading zeros, such as "1"',
});

const DiscretionaryPattern = Type.String({
  pattern: '^((cvv|pvv|[0-9]+)(\\|(cvv|pvv|[0-9]+))*)?$',
  description: 'digits, cvv and pvv, separated by |, such as 0000|cvv|000',
});

export const ProductFile = Type.Object(
  {
    $schema: Type.Optional(Type.String()),
    formatVersion: Type.Literal(1, { description: 'the version of this file format: 1' }),
    productId: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$', description: 'letters, digits, _ and -' }),
    config: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$', description: 'letters, digits, _ and -' }),
    profile: Type.String({ description: 'the profileId of a profile in the same catalogue' }),
    card: Type.Object(
      {
        expiryOrder: Type.Union([Type.Literal('YYMM'), Type.Literal('MMYY')], {
          description: 'how the digits of exp are read in orders',
        }),
        panLength: Type.Object(
          {
            min: Type.Integer({ minimum: 12, maximum: 19, description: 'digits' }),
            max: Type.Integer({ minimum: 12, maximum: 19, description: 'digits' }),
          },
          closed,
        ),
        serviceCode: Type.String({ pattern: '^[0-9]{3}$', description: 'three digits' }),
        chipDiscretionary: Type.Array(
          Type.String({
            pattern: '^([0-9]{1,10}|icvv)$',
            description: 'digits, or icvv for the computed value',
          }),
          { description: 'discretionary data of track 2 on the chip, parts in order' },
        ),
        stripe: Type.Optional(
          Type.Object(
            { track1: DiscretionaryPattern, track2: DiscretionaryPattern },
            { ...closed, description: 'discretionary data of the magnetic stripe; left out: no stripe' },
          ),
        ),
      },
      closed,
    ),
    values: Type.Record(Type.String({ pattern: tagPattern }), Type.String(), {
      description: 'tag to value, for the tags that the profile leaves to its products',
    }),
    keys: Type.Object(
      {
        oda: Type.Record(
          KeyIndex,
          Type.Object({ caKey: KeyName, caIndex: TwoHexDigits, issuerKey: KeyName }, closed),
          { description: 'odaKeyIndex to key pair' },
        ),
        derivation: Type.Record(
          KeyIndex,
          Type.Object({ ac: KeyName, smi: KeyName, smc: KeyName, dki: TwoHexDigits }, closed),
          { description: 'derivationKeyIndex to master keys' },
        ),
        cv: Type.Record(KeyIndex, KeyName, { description: 'cvKeyIndex to card verification key' }),
        pv: Type.Record(KeyIndex, Type.Union([KeyName, Type.Null()]), {
          description: 'pvKeyIndex to PIN verification key, or null where no PVV is encoded',
        }),
        defaultCvIndex: KeyIndex,
      },
      closed,
    ),
    secureChannels: Type.Array(
      Type.Object(
        {
          protocol: Type.Union([Type.Literal('SCP03'), Type.Literal('SCP02')], {
            description: 'a secure channel protocol',
          }),
          masterKey: KeyName,
          waiver: Type.Optional(
            Type.String({
              minLength: 10,
              description: 'why SCP02 is acceptable here; somebody signs for it',
            }),
          ),
        },
        closed,
      ),
      { minItems: 1, description: 'which chips the product may be made on' },
    ),
    print: Type.Object(
      {
        design: Type.String({
          pattern: '^[a-z0-9][a-z0-9-]{0,47}$',
          description: 'the name of a print template',
        }),
        printsName: Type.Boolean({ description: 'whether the name is printed' }),
        pan: Type.Union([Type.Literal('full'), Type.Literal('masked')], {
          description: 'how the PAN is printed',
        }),
        printsSecurityCode: Type.Boolean({ description: 'whether the security code is printed' }),
        computedSecurityCode: Type.Optional(
          Type.Object(
            {
              expiryOrder: Type.Union([Type.Literal('YYMM'), Type.Literal('MMYY')], {
                description: 'the expiry as it enters the security code',
              }),
            },
            { ...closed, description: "the printed code is computed; left out: the issuer's" },
          ),
        ),
      },
      closed,
    ),
    stock: Type.Object(
      {
        blank: Type.String({
          pattern: '^[a-z0-9][a-z0-9-]{0,47}$',
          description: 'the name of a kind of blank',
        }),
        ribbon: Type.String({ pattern: '^[A-Z0-9_]{1,32}$', description: 'the name of a ribbon' }),
      },
      closed,
    ),
    policies: Type.Object(
      {
        remake: Type.Object(
          {
            maxRemakes: Type.Integer({
              minimum: 0,
              maximum: 5,
              description: 'automatic remakes of one order',
            }),
            remakeAfterTerminate: Type.Boolean({
              description: 'also when the chip was killed by its script',
            }),
          },
          closed,
        ),
      },
      closed,
    ),
  },
  { ...closed, title: 'Cardwright product' },
);
export type ProductFile = Static<typeof ProductFile>;
