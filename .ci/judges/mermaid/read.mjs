// read FILE...: what Mermaid itself reads in each file's blocks, as JSON: for
// every block its nodes, its groups and its arrows. Nothing is drawn.
import { readFileSync } from 'node:fs'
import DOMPurify from 'dompurify'
import mermaid from 'mermaid'

// Without a browser there is nothing to protect from a label.
DOMPurify.sanitize = text => text
DOMPurify.addHook = () => {}

const read = async text => {
	await mermaid.parse(text) // throws what is wrong with it
	const db = (await mermaid.mermaidAPI.getDiagramFromText(text)).db
	const groups = db.getSubGraphs()
	const ids = groups.map(g => g.id)
	return {
		nodes: [...db.getVertices().values()].filter(v => !ids.includes(v.id)).map(v => ({ id: v.id, label: v.text })),
		groups: groups.map(g => ({ id: g.id, label: g.title, nodes: g.nodes.toSorted() })),
		arrows: db.getEdges().map(e => ({ from: e.start, to: e.end, label: e.text, head: e.type, stroke: e.stroke })),
	}
}

const all = {}
for (const file of process.argv.slice(2)) {
	all[file] = []
	for (const block of readFileSync(file, 'utf8').matchAll(/^```mermaid\n(.*?)^```$/gms)) {
		all[file].push(await read(block[1]))
	}
}
console.log(JSON.stringify(all))
