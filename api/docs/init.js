// The API key stays in the page: it is not stored in the browser. The document is not
// sent to an external validator.
SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#docs",
  validatorUrl: null,
  persistAuthorization: false,
  deepLinking: true,
});
