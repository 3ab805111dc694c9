import {
  type Connection,
  type IndexDefinition,
  type IndexOptions,
  type Model,
  Schema,
  type SchemaDefinition,
  type SchemaOptions,
} from "mongoose";

declare const documents: unique symbol;
/**
 * The schema of a collection. Mongoose's own type would have the compiler compare whole models whenever a schema is
 * handed on, which was a quarter of the type check.
 */
interface DocumentSchema<T> {
  readonly [documents]?: T;
  index(fields: IndexDefinition, options?: IndexOptions): this;
}

/**
 * Any kind of documents. Lists of them are `as const`, or the compiler compares each of their models with the others.
 */
export type AnyModel = (connection: Connection) => unknown;

/**
 * Describes the documents of a collection.
 * @example schemaOf<GuardDocument>({ _id: String, version: Number }, { collection: "guards", versionKey: false })
 */
export const schemaOf = <T>(definition: SchemaDefinition<T>, options: SchemaOptions): DocumentSchema<T> =>
  new Schema<T, object>(definition as never, options as never);

/**
 * Describes what is embedded in documents, alone or in a list.
 * @example schemaOf<ProductDocument>({ variants: [partOf<Variant>({ sku: String }, { strict: "throw" })] }, …)
 */
export const partOf = <T>(
  definition: SchemaDefinition<T>,
  options: SchemaOptions,
  // biome-ignore lint/suspicious/noExplicitAny: the very type that definitions take, so that nothing is compared
): Schema<any, any, any> => new Schema<T, object>(definition as never, options as never) as never;

/**
 * Gives the model of a kind of documents on any connection, made there when it is first asked for.
 * @example export const guardModel = modelOf("Guard", guardSchema);
 */
export const modelOf =
  <T>(name: string, schema: DocumentSchema<T>) =>
  (connection: Connection): Model<T> =>
    (connection.models[name] as Model<T> | undefined) ?? connection.model<T, Model<T>>(name, schema as never);
