/** The fake library as the built page imports the real one: its bundle takes the place of the library's chunk. */
import { fakeLibrary, RECORDS } from './fake-webllm.ts';

export const { MLCEngine, prebuiltAppConfig, modelVersion, hasModelInCache } = fakeLibrary({
  cached: RECORDS.map((record) => record.model_id),
  token: () => new Promise((resolve) => setTimeout(resolve, 5)),
});
