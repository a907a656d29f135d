/** What downloads, loaded only when somebody asks for a model by its name. */
export { download } from './download.ts';
export { find } from './find.ts';
export { HubHttp } from './http.ts';
