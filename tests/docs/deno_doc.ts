/**
 * What `deno doc --json` tells of the public face.
 *
 * @module
 */

import { ROOT } from "../process/commands.ts";

/** A tag of a comment: `@throws {MomError} …`. */
export interface DocTag {
  kind: string;
  name?: string;
  doc?: string;
  value?: string;
  tsType?: { repr: string };
}

/** A comment. */
export interface JsDoc {
  doc?: string;
  tags?: DocTag[];
}

/** A member of a class or an interface. */
export interface DocMember {
  name: string;
  kind?: string;
  jsDoc?: JsDoc;
  optional?: boolean;
  tsType?: { repr: string };
  functionDef?: { returnType?: { repr: string } };
}

/** One exported symbol. */
export interface DocSymbol {
  name: string;
  kind: string;
  jsDoc?: JsDoc;
  def?: { methods?: DocMember[]; properties?: DocMember[] };
}

/** All exported symbols of mod.ts. */
export async function readDoc(): Promise<DocSymbol[]> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", "mod.ts"],
    cwd: ROOT,
  }).output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout)) as {
    nodes: Record<string, {
      symbols: { name: string; declarations: DocSymbol[] }[];
    }>;
  };
  return Object.values(nodes).flatMap(({ symbols }) =>
    symbols.flatMap(({ name, declarations }) =>
      declarations.map((declaration) => ({ ...declaration, name }))
    )
  );
}
