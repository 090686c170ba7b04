// Packages without types of their own.
declare module "cytoscape-fcose" {
  const extension: (cytoscape: unknown) => void;
  export default extension;
}
