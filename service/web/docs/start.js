// Shows the API's description with Swagger UI 5.35.0 (Apache-2.0; swagger-ui-dist on npm), vendored beside this file.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null, // the default asks a server elsewhere
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
