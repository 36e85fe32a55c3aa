// What an import of a .sql file is: wrangler makes it a module whose default export is the text.

declare module "*.sql" {
  const text: string;
  export default text;
}
