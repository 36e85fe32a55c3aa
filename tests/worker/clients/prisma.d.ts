// The client that prisma/generate.mjs makes when the tests run: it need not be there when they are checked.

declare module "*/prisma/generated/client.ts" {
  // biome-ignore lint/suspicious/noExplicitAny: only the generator knows
  export const PrismaClient: any;
}
