// check FILE...: whether Authentik takes each file as a blueprint. An entry's fields go to the
// serializer that its API has for that model, so the API's schema judges them; what the tags
// stand for is known only to a database, and is given the type that it has there.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import Ajv from 'ajv'
import formats from 'ajv-formats'
import { parse } from 'yaml'

const path = createRequire(import.meta.url).resolve('@goauthentik/api/package.json').replace('package.json', 'schema.yml')
const { components } = parse(readFileSync(path, 'utf8'))

// The fields of a model, by the name of its schema.
const models = {
	'authentik_core.application': 'ApplicationRequest',
	'authentik_flows.flow': 'FlowRequest',
	'authentik_providers_oauth2.oauth2provider': 'OAuth2ProviderRequest',
	'authentik_providers_oauth2.scopemapping': 'ScopeMappingRequest',
}
for (const schema of Object.values(components.schemas)) {
	if (schema.properties) schema.additionalProperties ??= false
}

const ajv = formats(new Ajv({ strict: false, allErrors: true }))
ajv.addSchema({ $id: 'api', components })

const uuid = '00000000-0000-4000-8000-000000000000'
const customTags = [
	{ tag: '!Find', collection: 'seq', resolve: () => uuid },
	{ tag: '!File', resolve: () => 'a secret' },
	{ tag: '!KeyOf', resolve: () => 1 }, // a provider's key is a number
]

let wrong = false
for (const file of process.argv.slice(2)) {
	const say = what => { console.error(`${file}: ${what}`); wrong = true }
	const { version, metadata, entries } = parse(readFileSync(file, 'utf8'), { customTags })
	if (version !== 1) say('version is not 1')
	if (typeof metadata?.name !== 'string' || Object.values(metadata.labels ?? {}).some(l => typeof l !== 'string')) say('metadata has no name, or a label that is no text')
	for (const { model, id, state = 'present', identifiers = {}, attrs = {}, ...more } of entries) {
		if (!['present', 'created', 'must_created', 'absent'].includes(state)) say(`${model} is to be ${state}`)
		const schema = models[model]
		if (!schema) say(`nobody knows the model ${model}`)
		else if (!ajv.validate(`api#/components/schemas/${schema}`, { ...identifiers, ...attrs })) ajv.errors.forEach(e => say(`${model}${e.instancePath} ${e.message}: ${JSON.stringify(e.params)}`))
		if (Object.keys(more).length) say(`${model} has ${Object.keys(more)}`)
	}
}
process.exitCode = wrong ? 1 : 0
