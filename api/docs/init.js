// Keys stay in the page: nothing is kept in the browser, and no validator
// elsewhere is asked.
SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#docs",
  validatorUrl: null,
  persistAuthorization: false,
  deepLinking: true,
});
