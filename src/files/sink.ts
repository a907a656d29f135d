/** A file that is written from its beginning to its end. */
export interface Sink {
  write(bytes: Uint8Array<ArrayBuffer>): Promise<unknown>;
  close(): Promise<unknown>;
}
