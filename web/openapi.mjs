// The description of the internal port. Run by hand after a change, it writes
//
//   openapi.json   OpenAPI 3.1; the build fills in the version
//   swagger.json   the same as Swagger 2.0, as far as that can say it
//
//   node web/openapi.mjs          writes both
//   node web/openapi.mjs --check  only compares; status 1 if they are not what this file says
//
// Only the paths of /v3 are written here: those of /v2 are made from them, and differ where v2() says so.
import { readFile, writeFile } from 'node:fs/promises';

const JSON_TYPE = 'application/json';
const MAX_MS = 2147483647;
const text = { type: 'string' };
const whole = (minimum, maximum, more = {}) => ({ type: 'integer', minimum, ...(maximum && { maximum }), ...more });
const flag = (value, description) => ({ type: 'boolean', default: value, description });
const object = (required, properties, more = {}) =>
  ({ type: 'object', ...(required.length > 0 && { required }), properties, ...more });
const list = (items, more = {}) => ({ type: 'array', items, ...more });
const ref = (name) => ({ $ref: `#/components/schemas/${name}` });
const orNull = (type, more = {}) => ({ type: [type, 'null'], ...more });

/* ---- schemas ---- */

const exampleApi = {
  id: 'orders', name: 'Orders', auth_type: 'jwt', auth: { use_header: true, header_name: 'Authorization' },
  version_data: { default: { endpoints: [
    { id: 'list', method: 'GET', path_regex: '/orders', secured: true },
    { id: 'item', method: 'GET', path_regex: '/orders/([0-9]+)', path_replacement: '/v1/order/\\1' },
  ] } },
  proxy: { target_url: 'orders.internal', port: 8080 },
};
const exampleEvent = {
  specversion: '1.0', type: 'chat.message', source: '/chat', id: '1', data: { room: 'blue', text: 'hi' },
};

const schemas = {
  Api: object(['id', 'name', 'version_data', 'proxy'], {
    id: { ...text, minLength: 1, description: 'Key of the definition. APIs are asked by ascending id.' },
    name: { ...text, minLength: 1, description: 'To show.' },
    active: flag(true, 'Only an active API takes part in matching.'),
    versioned: flag(false, 'true takes the whole API out of matching.'),
    auth_type: { ...text, enum: ['none', 'jwt'], default: 'none' },
    auth: ref('Auth'),
    version_data: {
      type: 'object', minProperties: 1, additionalProperties: ref('Version'),
      description: 'Endpoints by version. Only the version "default" is used.',
    },
    proxy: ref('Proxy'),
  }, { description: 'An API definition. Members that are not known are kept and have no effect.', example: exampleApi }),

  StoredApi: {
    description: 'A definition with its defaults and what the gateway keeps about it.',
    allOf: [ref('Api'), object(['ref_number', 'timestamp', 'node_name'], {
      ref_number: whole(0, 0, { description: 'Counts changes.' }),
      timestamp: { ...text, format: 'date-time', description: 'Of the last change, UTC.' },
      node_name: { ...text, description: 'The node that answers.' },
    })],
  },

  Version: object(['endpoints'], {
    endpoints: list(ref('Endpoint'), { description: 'In the order in which they are tried.' }),
    transform_request_headers: object([], {
      add_headers: { type: 'object', additionalProperties: text,
        description: 'Set on requests of endpoints with transform_request_headers.' },
    }),
  }),

  Endpoint: object(['id', 'method', 'path_regex'], {
    id: { ...text, minLength: 1 },
    method: { ...text, minLength: 1, description: 'Of the request. An endpoint for GET also serves HEAD.' },
    path_regex: { ...text, minLength: 1, description: 'PCRE pattern that the whole path must match, in any case.' },
    path_replacement: { ...text, description: 'Another path for the service; \\1 is what the first group matched.' },
    secured: flag(false, 'Only with a valid token. Needs auth_type jwt.'),
    transform_request_headers: flag(false, 'Set the version\'s add_headers.'),
    target: { ...text, enum: ['http', 'kafka', 'kinesis', 'nats'], default: 'http', description: 'Where requests go.' },
    topic: { ...text, description: 'Of Kafka, stream of Kinesis or subject of NATS; required for these targets.' },
    schema: { ...text, description: 'Avro subject, for Kafka.' },
    response_from: { ...text, enum: ['http', 'kafka', 'http_async', 'kinesis', 'nats'], default: 'http',
      description: 'Where the answer comes from.' },
    rate_limit: object(['requests'], {
      requests: whole(1, 1000000000), seconds: whole(1, 86400, { default: 1 }),
      burst: whole(1, 1000000000, { description: 'How many may come at once; requests unless told.' }),
      by: { ...text, enum: ['address', 'session'], default: 'address', description: 'session only where the endpoint is secured.' },
    }, { description: 'How often one client may ask; beyond it 429.', example: { requests: 100, seconds: 60, burst: 20 } }),
    upgrade: flag(false, 'Whether a client may switch protocols, to WebSocket for example.'),
    encoded_slashes: flag(false, 'Whether %2F and %5C may stand in the path.'),
  }),

  Auth: object([], {
    use_header: flag(false, 'Look for tokens in a header.'),
    header_name: { ...text, description: 'Which; Authorization with auth_type jwt unless told.' },
    use_query: flag(false, 'Look for tokens in a query parameter.'),
    query_name: { ...text, description: 'Which.' },
    claim_headers: { type: 'object', additionalProperties: text, example: { 'x-user': '/sub' },
      description: 'Headers for the service that are taken from claims: JSON pointers by header name. Clients cannot bring them along.' },
  }),

  Proxy: object([], {
    target_url: { ...text, minLength: 1,
      description: 'Host, or scheme://host; with use_env the name of a variable that has it. Required unless targets is given.' },
    port: whole(1, 65535),
    use_env: flag(false, 'target_url names a variable.'),
    targets: list({ ...text }, { minItems: 1, maxItems: 64, example: ['10.0.0.7:8080', '10.0.0.8'],
      description: 'Addresses of the service, in place of target_url; port where an address has none.' }),
    tls: object([], { ca_file: text, cert_file: text, key_file: text, server_name: text, verify: flag(true, 'Check the certificate.') },
      { description: 'For https.' }),
    connect_timeout_ms: whole(1, MAX_MS),
    response_timeout_ms: whole(1, MAX_MS, { description: 'Until the answer begins; PROXY_RECV_TIMEOUT unless told.' }),
    idle_timeout_ms: whole(1, MAX_MS, { description: 'While the answer is under way.' }),
    max_body_bytes: whole(0, undefined, { description: 'Of a request; 0: unlimited. PROXY_BODY_BYTES unless told.' }),
    max_header_bytes: whole(1024, 1048576, { description: 'Of an answer\'s head.' }),
    max_connections: whole(0, 100000, { description: 'To one address; 0: the default.' }),
    retry: flag(true, 'Whether a request that is safe to repeat is repeated once.'),
  }, { description: 'The service behind the API.' }),

  Done: object(['message'], { message: { ...text, const: 'ok' } }, { example: { message: 'ok' } }),

  Message: object(['message'], { message: text }),

  Faults: {
    type: 'object', description: 'What is wrong, by API and endpoint.',
    additionalProperties: list({ type: 'object', additionalProperties: text }),
    example: { api: [{ name: 'must be string' }], 'orders/place': [{ topic: 'must be present' }] },
  },

  Problem: object(['title', 'status'], {
    type: { ...text, default: 'about:blank' }, title: text, status: { type: 'integer' }, detail: text,
    errors: list(object(['detail'], {
      detail: text, pointer: { ...text, description: 'JSON pointer (RFC 6901) as a fragment.' },
      key: { ...text, description: 'As in Faults.' }, field: text,
    })),
  }, {
    description: 'The same as RFC 9457 tells it, to who accepts application/problem+json.',
    example: { type: 'about:blank', title: 'Bad Request', status: 400, detail: 'the definition has 1 fault',
      errors: [{ detail: 'name must be string', pointer: '#/name', key: 'api', field: 'name' }] },
  }),

  Errors: object(['errors'], { errors: object(['detail'], { detail: text }) },
    { example: { errors: { detail: 'Not found' } } }),

  CloudEvent: object(['type', 'id'], {
    specversion: { ...text, enum: ['1.0', '0.2'] },
    type: { ...text, minLength: 1, description: 'What subscriptions ask for.' },
    source: text, id: { ...text, minLength: 1 }, time: { ...text, format: 'date-time' },
    datacontenttype: text, data: { description: 'Anything.' },
  }, {
    description: 'CloudEvents 1.0 or 0.2; of 0.1 the members are called cloudEventsVersion, eventType and eventID.',
    example: exampleEvent,
  }),

  CorrelatedEvent: {
    description: 'An event (CloudEvents 0.1 or 0.2) that answers a request.',
    allOf: [ref('CloudEvent'), object(['rig'], { rig: object(['correlation'], { correlation: text }) })],
    example: { specversion: '0.2', type: 'order.placed', source: '/orders', id: '2', rig: { correlation: 'AbC_123-x' } },
  },

  BlacklistRequest: object(['sessionId', 'validityInSeconds'], {
    sessionId: { ...text, minLength: 1, description: 'What JWT_SESSION_FIELD names in the tokens.' },
    validityInSeconds: { type: 'number', exclusiveMinimum: 0, description: 'Or the same as text.' },
  }, { example: { sessionId: 's1', validityInSeconds: 3600 } }),

  Nothing: { type: 'object', maxProperties: 0, example: {} },

  Session: object(['id', 'user', 'since', 'connections'], {
    id: text, user: orNull('string'), since: { ...text, format: 'date-time' }, connections: whole(1),
  }),
  SessionPage: object(['sessions', 'next'], {
    sessions: list(ref('Session')),
    next: orNull('string', { description: 'The value of after for the next page.' }),
  }, { example: { sessions: [{ id: 'ja', user: 'ada', since: '2026-05-06T07:08:09.123000+00:00', connections: 2 }], next: null } }),
  SessionCounts: object(['sessions', 'users', 'connections'], {
    sessions: whole(0), users: whole(0), connections: whole(0),
  }, { example: { sessions: 2, users: 1, connections: 5 } }),
  Connection: object(['id', 'dialect', 'transport'], {
    id: text, dialect: { ...text, enum: ['events', 'channels'] },
    transport: { ...text, enum: ['sse', 'websocket', 'longpolling'] },
    address: orNull('string'), user_agent: orNull('string'), since: { ...text, format: 'date-time' },
    subscriptions: whole(0), channels: list(text), queued_bytes: whole(0), sent_bytes: whole(0),
  }),
  SessionDetail: object(['id', 'user', 'since', 'connections', 'truncated'], {
    id: text, user: orNull('string'), since: { ...text, format: 'date-time' },
    connections: list(ref('Connection')), truncated: { type: 'boolean' },
  }),
  Presence: object(['topic', 'users', 'presences'], { topic: text, users: whole(0), presences: whole(0) },
    { example: { topic: 'role:customer', users: 1, presences: 2 } }),
  Devices: object(['devices'], { devices: whole(0) }, { example: { devices: 2 } }),
  Readiness: object(['ready', 'shutting_down', 'parts'], {
    ready: { type: 'boolean' }, shutting_down: { type: 'boolean' },
    parts: { type: 'object', additionalProperties: object(['ready'], { ready: { type: 'boolean' }, reason: text }) },
  }, { example: { ready: true, shutting_down: false, parts: { kafka: { ready: true, partitions: 4, paused: false, reason: 'consuming' } } } }),
};

/* ---- operations ---- */

const body = (type, schema, example) => ({ [type]: { schema, ...(example !== undefined && { example }) } });
const json = (description, name, example) => ({ description, content: body(JSON_TYPE, ref(name), example) });
const plain = (description, example) => ({ description, content: body('text/plain', text, example) });
const bodiless = (description) => ({ description });
const takes = (...contents) => ({ required: true, content: Object.assign({}, ...contents) });
const inPath = (name, description) => ({ name, in: 'path', required: true, description, schema: text });
const inQuery = (name, description, schema) => ({ name, in: 'query', description, schema });
const inHeader = (name, description, schema = text, required = false) => ({ name, in: 'header', required, description, schema });

const invalid = {
  description: 'The definition is not valid, and nothing has changed. The header rgate-error-pointers has the JSON pointers, too.',
  headers: { 'rgate-error-pointers': { description: 'JSON pointers to what is wrong.', schema: text } },
  content: { ...body(JSON_TYPE, ref('Faults')), ...body('application/problem+json', ref('Problem')) },
};
const unknownApi = json('There is no such API.', 'Message', { message: 'API with id=orders doesn\'t exists.' });
const badBody = { 413: json('The body is too long.', 'Errors', { errors: { detail: 'Bad request' } }),
  415: json('The content type is not JSON.', 'Errors', { errors: { detail: 'Bad request' } }) };
const apiId = inPath('id', 'Of the definition.');
const sessionId = inPath('id', 'Of the session, percent-encoded.');
const ACCEPTED = 'message sent to correlated reverse proxy request';

const v3 = {
  '/apis': {
    get: { tags: ['apis'], operationId: 'listApis', summary: 'All active API definitions, by id',
      responses: { 200: { description: 'The definitions.', content: body(JSON_TYPE, list(ref('StoredApi'))) } } },
    post: { tags: ['apis'], operationId: 'addApi', summary: 'Add an API definition',
      description: 'In force for the next request when this is answered.',
      requestBody: takes(body(JSON_TYPE, ref('Api'), exampleApi)),
      responses: { 201: json('Added.', 'Done'), 400: invalid,
        409: json('There is one with this id.', 'Message', { message: 'API with id=orders already exists.' }), ...badBody } },
  },
  '/apis/{id}': {
    get: { tags: ['apis'], operationId: 'getApi', summary: 'One API definition', parameters: [apiId],
      responses: { 200: json('The definition.', 'StoredApi'), 404: unknownApi } },
    put: { tags: ['apis'], operationId: 'changeApi', summary: 'Change an API definition', parameters: [apiId],
      description: 'The body is a complete definition by itself. Its members replace those of the one that is there; others stay.',
      requestBody: takes(body(JSON_TYPE, ref('Api'), exampleApi)),
      responses: { 200: json('Changed.', 'Done'), 400: invalid, 404: unknownApi, ...badBody } },
    delete: { tags: ['apis'], operationId: 'deleteApi', summary: 'Delete an API definition', parameters: [apiId],
      responses: { 204: bodiless('Deleted.'), 404: unknownApi } },
  },
  '/session-blacklist': {
    post: { tags: ['sessions'], operationId: 'banSession', summary: 'End a session and refuse its tokens for a time',
      description: 'Closes all connections of the session. Repeating it can only prolong the time.',
      requestBody: takes(body(JSON_TYPE, ref('BlacklistRequest'))),
      responses: { 201: { ...json('Banned.', 'Nothing'), headers: { location: { description: 'Where to look it up.', schema: text } } },
        400: plain('A member is missing or wrong.', 'Missing value for "sessionId"'), ...badBody } },
  },
  '/session-blacklist/{sessionId}': {
    get: { tags: ['sessions'], operationId: 'isBanned', summary: 'Whether a session is banned',
      parameters: [inPath('sessionId', 'Percent-encoded.')],
      responses: { 200: json('It is.', 'Nothing'), 404: plain('It is not.', 'Not found.') } },
  },
  '/sessions': {
    get: { tags: ['sessions'], operationId: 'listSessions', summary: 'Sessions with connections to this node',
      parameters: [inQuery('user', 'Only of this user.', text), inQuery('limit', 'How many on a page.', whole(1, 1000, { default: 100 })),
        inQuery('after', 'What next was in the page before.', text)],
      responses: { 200: json('A page.', 'SessionPage'), 400: plain('A parameter is wrong.', 'limit must be a whole number from 1 to 1000.') } },
  },
  '/sessions/count': {
    get: { tags: ['sessions'], operationId: 'countSessions', summary: 'How many sessions, users and connections',
      responses: { 200: json('The numbers.', 'SessionCounts') } },
  },
  '/sessions/{id}': {
    get: { tags: ['sessions'], operationId: 'getSession', summary: 'One session with its connections', parameters: [sessionId],
      responses: { 200: json('The session.', 'SessionDetail'), 404: plain('Nobody is connected with it.', 'There is no such session.') } },
    delete: { tags: ['sessions'], operationId: 'endSession', summary: 'End a session and refuse its tokens for a time',
      parameters: [sessionId, inQuery('seconds', 'For how long.', whole(1, 2147483648, { default: 3600 }))],
      responses: { 204: bodiless('Ended.'), 400: plain('seconds is wrong.') } },
  },
  '/sessions/{id}/connections/{connection}': {
    delete: { tags: ['sessions'], operationId: 'closeConnection', summary: 'Close one connection', description: 'Nothing is banned.',
      parameters: [sessionId, inPath('connection', 'As the session lists it.')],
      responses: { 204: bodiless('Closed.'), 404: plain('There is no such connection of this session.') } },
  },
  '/presence/{topic}': {
    get: { tags: ['sessions'], operationId: 'countPresent', summary: 'How many users and presences a channel has',
      parameters: [inPath('topic', 'Of the channel, "user:ada" for example.')], responses: { 200: json('The numbers.', 'Presence') } },
  },
  '/messages': {
    post: { tags: ['messages'], operationId: 'publish', summary: 'Publish an event',
      description: 'To the clients that have subscribed. In structured mode the body is the event; in binary mode its attributes are headers that begin with ce- and the body is its data.',
      parameters: [inHeader('ce-specversion', 'Binary mode.'), inHeader('ce-type', 'Binary mode.'), inHeader('ce-source', 'Binary mode.'),
        inHeader('ce-id', 'Binary mode.')],
      requestBody: takes(body('application/cloudevents+json', ref('CloudEvent')), body(JSON_TYPE, ref('CloudEvent')), body('text/plain', text)),
      responses: { 202: json('Accepted, even if nobody is subscribed.', 'CloudEvent'),
        400: plain('It is no event.', 'The request body does not look like a CloudEvent: ...'),
        413: plain('It is too long.'), 415: plain('Batches and formats other than JSON are not supported.'),
        503: plain('Too many events are waiting; Retry-After says when.') } },
  },
  '/users/{name}/messages': {
    post: { tags: ['messages'], operationId: 'tellUser', summary: 'Send a message to all devices of a user',
      description: 'Any JSON value; it arrives as the event "message" on the channel "user:<name>".',
      parameters: [inPath('name', 'Of the user.')],
      requestBody: takes(body(JSON_TYPE, {}, { type: 'balance', amount: 12 })),
      responses: { 202: json('Sent to so many devices of the user.', 'Devices'), 400: plain('The name or the body is none.'),
        413: plain('It is too long.'), 415: badBody[415], 503: plain('Too many events are waiting; Retry-After says when.') } },
  },
  '/responses': {
    post: { tags: ['responses'], operationId: 'respond', summary: 'Answer a request that waits',
      description: 'Of an endpoint with response_from. The body goes to the client as it is.',
      parameters: [inHeader('rig-correlation', 'Says which request.', text, true),
        inHeader('rig-response-code', 'Status for the client.', whole(200, 599), true)],
      requestBody: { required: false, content: body('*/*', {}) },
      responses: { 202: plain('Passed on, if the request still waits.', ACCEPTED),
        400: plain('A header is missing or wrong.', 'Failed to parse request body: :error') } },
  },
};

/** What is different in version 2. */
function v2(path, method, operation) {
  const twin = { ...operation, operationId: `${operation.operationId}V2` };
  if (path !== '/responses') return twin;
  delete twin.parameters;
  return { ...twin, description: 'The client gets the event, as JSON, with status 200.',
    requestBody: takes(body(JSON_TYPE, ref('CorrelatedEvent')), body('application/cloudevents+json', ref('CorrelatedEvent'))),
    responses: { ...operation.responses, 400: plain('It is no such event.', 'Failed to parse request body: ...') } };
}

const unversioned = {
  '/health': { get: { tags: ['operation'], operationId: 'isAlive', summary: 'Whether the gateway is alive',
    responses: { 200: plain('It is.', 'OK'), 503: plain('It is ending.', 'Shutting down') } } },
  '/ready': { get: { tags: ['operation'], operationId: 'isReady', summary: 'Whether all of its parts do their work',
    responses: { 200: json('They do.', 'Readiness'), 503: json('One does not, and why.', 'Readiness') } } },
  '/metrics': { get: { tags: ['operation'], operationId: 'metrics', summary: 'Metrics for Prometheus',
    responses: { 200: plain('In the text format.', 'rig_subscriptions_total 3'),
      404: json('PROMETHEUS_METRICS_ENABLED is false.', 'Errors') } } },
  '/openapi.json': { get: { tags: ['description'], operationId: 'openapi', summary: 'This description, OpenAPI 3.1',
    responses: { 200: { description: 'The document.', content: body(JSON_TYPE, { type: 'object' }) } } } },
  '/swagger-ui': { get: { tags: ['description'], operationId: 'readerRedirect', summary: 'Leads to the page that shows it',
    responses: { 302: plain('To /swagger-ui/index.html.', 'Redirecting') } } },
  '/swagger-ui/index.html': { get: { tags: ['description'], operationId: 'reader', summary: 'A page to read it and try it out',
    responses: { 200: { description: 'The page.', content: body('text/html', text) } } } },
  '/swagger-ui/rig_api_swagger.json': { get: { tags: ['description'], operationId: 'swagger', summary: 'This description, Swagger 2.0',
    responses: { 200: { description: 'The document.', content: body(JSON_TYPE, { type: 'object' }) } } } },
  '/dashboard': { get: { tags: ['description'], operationId: 'dashboard', summary: 'A page with the state of this node',
    responses: { 200: { description: 'The page.', content: body('text/html', text) } } } },
};

function allPaths() {
  const paths = {};
  for (const [path, item] of Object.entries(v3)) paths[`/v3${path}`] = item;
  for (const [path, item] of Object.entries(v3)) {
    paths[`/v2${path}`] = Object.fromEntries(
      Object.entries(item).map(([method, operation]) => [method, v2(path, method, operation)]));
  }
  return { ...paths, ...unversioned };
}

const openapi = {
  openapi: '3.1.0',
  info: {
    title: 'Reactive Gateway: internal port', version: '@PROJECT_VERSION@',
    description: 'For operators and services, in a private network: nothing here asks for a token. /v2 and /v3 are the same but for /responses. What is not listed is answered with 404.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: '/' }],
  tags: [
    { name: 'apis', description: 'API definitions: which requests go to which service.' },
    { name: 'sessions', description: 'Who is connected, and how to end it.' },
    { name: 'messages', description: 'Events and messages for clients.' },
    { name: 'responses', description: 'Answers to requests that wait.' },
    { name: 'operation', description: 'Health and numbers.' },
    { name: 'description', description: 'These pages.' },
  ],
  paths: allPaths(),
  components: { schemas },
};

/* ---- Swagger 2.0 ---- */

/** A schema without what 2.0 does not know: const, lists of types, exclusive bounds as numbers. */
function oldSchema(schema) {
  if (Array.isArray(schema)) return schema.map(oldSchema);
  if (schema === null || typeof schema !== 'object') return schema;
  const old = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === '$ref') old.$ref = value.replace('#/components/schemas/', '#/definitions/');
    else if (key === 'example' || key === 'default') old[key] = value;
    else if (key === 'const') old.enum = [value];
    else if (key === 'exclusiveMinimum') Object.assign(old, { minimum: value, exclusiveMinimum: true });
    else if (key === 'type' && Array.isArray(value)) Object.assign(old, { type: value[0], 'x-nullable': true });
    else old[key] = oldSchema(value);
  }
  return old;
}

function oldResponse({ description, content, headers }) {
  const [schema] = Object.values(content ?? {}).map((one) => one.schema);
  const examples = Object.fromEntries(
    Object.entries(content ?? {}).filter(([, one]) => 'example' in one).map(([type, one]) => [type, one.example]));
  return { description, ...(schema && { schema: oldSchema(schema) }),
    ...(headers && { headers: Object.fromEntries(Object.entries(headers).map(
      ([name, header]) => [name, { description: header.description, ...header.schema }])) }),
    ...(Object.keys(examples).length > 0 && { examples }) };
}

function oldOperation({ requestBody, responses, parameters = [], ...rest }) {
  const types = (all) => [...new Set(all.flatMap(({ content }) => Object.keys(content ?? {})))];
  const old = { ...rest };
  if (requestBody) old.consumes = types([requestBody]);
  if (types(Object.values(responses)).length > 0) old.produces = types(Object.values(responses));
  old.parameters = parameters.map(({ schema, ...parameter }) => ({ ...parameter, ...oldSchema(schema) }));
  if (requestBody) {
    const [{ schema }] = Object.values(requestBody.content);
    old.parameters.push({ name: 'body', in: 'body', required: requestBody.required, schema: oldSchema(schema) });
  }
  old.responses = Object.fromEntries(Object.entries(responses).map(([status, one]) => [status, oldResponse(one)]));
  return old;
}

const swagger = {
  swagger: '2.0',
  info: { ...openapi.info, license: { name: openapi.info.license.name } },
  basePath: '/',
  tags: openapi.tags,
  paths: Object.fromEntries(Object.entries(openapi.paths).map(([path, item]) => [path,
    Object.fromEntries(Object.entries(item).map(([method, operation]) => [method, oldOperation(operation)]))])),
  definitions: oldSchema(schemas),
};

let status = 0;
for (const [name, document] of Object.entries({ 'openapi.json': openapi, 'swagger.json': swagger })) {
  const url = new URL(name, import.meta.url);
  const wanted = `${JSON.stringify(document, null, 1)}\n`;
  if (process.argv[2] !== '--check') await writeFile(url, wanted);
  else if (await readFile(url, 'utf8').catch(() => '') !== wanted) {
    console.error(`openapi: web/${name} is not what web/openapi.mjs says; run it`);
    status = 1;
  }
}
process.exit(status);
