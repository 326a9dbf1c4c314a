/**
 * What stands in a profile file (`profiles/<profileId>.json`): the application on the chip as data. DGI templates,
 * files and their packing, fixed values, the issuer application data, quirks of the applet, secure channels.
 *
 * Invariants: a profile names no key and holds no card data; every value has the type of its tag; the descriptions
 * here are what the check tells an author, and what the JSON schema beside the profiles says.
 */
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;
const hexBytes = (min: number, max: number, description: string) =>
  Type.String({ pattern: `^([0-9A-F]{2}){${min},${max}}$`, description });

export const tagPattern = '^([0-9A-F]{2}){1,3}$';
const Tag = Type.String({
  pattern: tagPattern,
  description: 'a tag in upper-case hexadecimal, such as 9F10',
});
const DgiId = Type.String({
  pattern: '^[0-9A-F]{4}$',
  description: 'a DGI identifier: four upper-case hexadecimal digits, such as 9102',
});

/** Deepest template: A5, BF0C, 61, then tags. */
const innermost = Type.Array(Tag, { minItems: 1, description: 'a list of tags' });
const template = <T extends Parameters<typeof Type.Array>[0]>(items: T) =>
  Type.Object({ tag: Tag, items: Type.Array(items, { minItems: 1 }) }, closed);
const itemDescription = 'a tag such as "5A", or a template { "tag": "A5", "items": [...] }';
const Item1 = Type.Union([Tag, Type.Object({ tag: Tag, items: innermost }, closed)], {
  description: itemDescription,
});
const Item2 = Type.Union([Tag, template(Item1)], { description: itemDescription });
const Item = Type.Union([Tag, template(Item2)], { description: itemDescription });
/** A tag, or a template around more of them. */
export type TemplateItem = string | { readonly tag: string; readonly items: readonly TemplateItem[] };

const Secret = Type.Union(
  [
    Type.Literal('application-keys'),
    Type.Literal('reference-pin'),
    Type.Literal('icc-q-inverse'),
    Type.Literal('icc-dq'),
    Type.Literal('icc-dp'),
    Type.Literal('icc-q'),
    Type.Literal('icc-p'),
  ],
  { description: 'which secret goes here; it is made and enciphered for the card in hand' },
);
export type Secret = Static<typeof Secret>;

const RawData = Type.Union(
  [Type.Literal('key-check-values'), Type.Literal('pin-try-counter'), Type.Literal('pin-try-limit')],
  { description: 'bytes without a tag' },
);
export type RawData = Static<typeof RawData>;

const DgiTemplate = Type.Object(
  {
    id: Type.Optional(DgiId),
    content: Type.Optional(Type.Array(Item, { description: 'TLVs, in this order' })),
    data: Type.Optional(Type.Array(RawData, { minItems: 1, description: 'untagged bytes, in this order' })),
    secret: Type.Optional(Secret),
    records: Type.Optional(
      Type.Literal(true, { description: 'true: the records of all files go here, one DGI each' }),
    ),
    optional: Type.Optional(
      Type.Boolean({ description: 'true: left out for a card that has nothing to put here' }),
    ),
    issuerMayPrepare: Type.Optional(
      Type.Boolean({ description: 'true: an issuer may send this DGI ready made (emvData)' }),
    ),
  },
  closed,
);
export type DgiTemplate = Static<typeof DgiTemplate>;

const FileTemplate = Type.Object(
  {
    sfi: Type.Integer({ minimum: 1, maximum: 10, description: 'the short file identifier' }),
    signed: Type.Boolean({ description: 'true: the ICC certificate signs the records of this file' }),
    issuerMayPrepare: Type.Optional(
      Type.Boolean({ description: 'true: an issuer may send the records of this file ready made (emvData)' }),
    ),
    items: Type.Array(Tag, {
      minItems: 1,
      description: 'tags, packed in this order into as few records as fit',
    }),
  },
  closed,
);
export type FileTemplate = Static<typeof FileTemplate>;

const IadPart = Type.Object(
  {
    field: Type.Union(
      [
        Type.Literal('constant'),
        Type.Literal('dki'),
        Type.Literal('cvr'),
        Type.Literal('counters'),
        Type.Literal('discretionary'),
      ],
      { description: 'what this part of the issuer application data holds' },
    ),
    value: Type.Optional(hexBytes(1, 32, 'hexadecimal bytes, for a constant')),
    bytes: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 32,
        description: 'a length in bytes, for anything but a constant',
      }),
    ),
  },
  closed,
);
export type IadPart = Static<typeof IadPart>;

export const ProfileFile = Type.Object(
  {
    $schema: Type.Optional(Type.String()),
    formatVersion: Type.Literal(1, { description: 'the version of this file format: 1' }),
    profileId: Type.String({
      pattern: '^[a-z0-9][a-z0-9-]{0,31}$',
      description: 'lower-case letters, digits and hyphens, at most 32',
    }),
    title: Type.String({ minLength: 1, maxLength: 120, description: 'one line for people' }),
    description: Type.Optional(Type.String({ maxLength: 1000, description: 'text for people' })),
    application: Type.Object(
      {
        rid: hexBytes(5, 5, 'five bytes in upper-case hexadecimal'),
        aid: hexBytes(5, 16, 'five to sixteen bytes in upper-case hexadecimal'),
        pseAid: hexBytes(5, 16, 'five to sixteen bytes in upper-case hexadecimal'),
        ppseAid: hexBytes(5, 16, 'five to sixteen bytes in upper-case hexadecimal'),
      },
      { ...closed, description: 'names of the application and of its two directories' },
    ),
    values: Type.Record(Tag, Type.String(), {
      description: 'tag to value, each written as the tag is read: digits, text, or hexadecimal',
    }),
    fromProduct: Type.Array(Tag, { uniqueItems: true, description: 'tags whose values every product gives' }),
    cryptogram: Type.Object(
      {
        version: Type.Union([Type.Literal('CCI-A5'), Type.Literal('CVN-18')], {
          description: 'how application cryptograms are made',
        }),
        udkOption: Type.Union([Type.Literal('A'), Type.Literal('B')], {
          description: 'how the card keys are derived from the issuer master keys',
        }),
        iad: Type.Array(IadPart, { minItems: 1, description: 'the issuer application data, part by part' }),
      },
      closed,
    ),
    iccKey: Type.Object(
      {
        bits: Type.Integer({
          minimum: 768,
          maximum: 1976,
          multipleOf: 8,
          description: 'modulus length in bits',
        }),
        exponent: Type.Literal(3, { description: 'the public exponent: 3' }),
        form: Type.Literal('crt', {
          description: 'CRT components (8201 to 8205); modulus and exponent (8101, 8103) are not made yet',
        }),
        padding: Type.Literal('always', {
          description: 'each component is padded with 80 00.. to the cipher block, also when it is whole',
        }),
      },
      closed,
    ),
    pin: Type.Object(
      {
        tryLimit: Type.Integer({ minimum: 1, maximum: 15, description: 'PIN tries' }),
        block: Type.Union([Type.Literal('ISO9564-1'), Type.Literal('ISO9564-2')], {
          description: 'PIN block format of the reference PIN; sources conflict, ask the maker of the applet',
        }),
        cvmList: Type.Optional(
          hexBytes(
            10,
            252,
            'the CVM list (8E) of a card that got a PIN; without it every card has values.8E',
          ),
        ),
      },
      closed,
    ),
    files: Type.Array(FileTemplate, { minItems: 1, description: 'files, in the order of the AFL' }),
    instances: Type.Object(
      {
        pse: Type.Array(DgiTemplate, { minItems: 1 }),
        ppse: Type.Array(DgiTemplate, { minItems: 1 }),
        application: Type.Array(DgiTemplate, { minItems: 1 }),
      },
      { ...closed, description: 'the DGIs of each instance, in the order of loading' },
    ),
    personalization: Type.Object(
      {
        route: Type.Literal('issuer-security-domain', {
          description:
            'INSTALL [for personalization], then STORE DATA to the security domain; a secure channel to each ' +
            'application ("application") is not spoken yet',
        }),
        secureChannels: Type.Array(Type.Union([Type.Literal('SCP03'), Type.Literal('SCP02')]), {
          minItems: 1,
          uniqueItems: true,
          description: 'protocols the applet works with, the preferred one first',
        }),
        maxCommandBytes: Type.Integer({
          minimum: 16,
          maximum: 231,
          description: 'DGI bytes in one STORE DATA; more does not fit after MAC and padding',
        }),
        sharesCommands: Type.Boolean({ description: 'true: several DGIs may share one STORE DATA' }),
        structureFlag: Type.Union([Type.Literal('00'), Type.Literal('08')], {
          description: 'b5 b4 of P1: 00 as CPS has it, 08 for applets that want the DGI format announced',
        }),
      },
      closed,
    ),
    issuerPrepared: Type.Object(
      {
        lockedTags: Type.Array(Tag, {
          uniqueItems: true,
          description:
            'tags that a data set prepared by the issuer must carry exactly as the profile has them',
        }),
      },
      closed,
    ),
  },
  { ...closed, title: 'Cardwright chip profile' },
);
export type ProfileFile = Static<typeof ProfileFile>;
