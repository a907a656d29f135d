/** Models that a user opens: where they come from, and what is known of them without their weights. */

/** What is opened. Files are read where they lie; nothing of them is copied to get them here. */
export type ModelSource =
  | { kind: 'files'; name: string; files: { name: string; file: Blob }[] }
  /** A folder that the browser may open again after a reload, once its user says so. */
  | { kind: 'folder'; handle: FileSystemDirectoryHandle };

/** Of the root node of a model that a user opened. */
export interface OpenedModel {
  /**
   * Where the weights are when the page is opened again: in the lab's own storage, in a folder that the browser may be
   * asked for, or nowhere, so that the files have to be chosen again.
   */
  kept: 'copy' | 'folder' | 'nowhere';
  /** Name of the folder, or of the file, as its user knows it. */
  from: string;
  weightFiles: { name: string; bytes: number }[];
  /** Types of the stored numbers: 'BF16'. */
  types: string[];
  parameters: number;
  /** Kind of tokenizer, in words. */
  tokenizer: string;
  /** `default`: the model brings no chat template, and is asked in a plain transcript. */
  template: 'model' | 'default';
  /**
   * SHA-256 (hex) over config.json, the headers and a sample of the weights, by which the same weights are known again. No
   * checksum: it does not read every byte of gigabytes. The same model has the same small files as well.
   */
  fingerprint: string;
}
