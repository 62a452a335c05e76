document.querySelector("form[data-enviar]").submit()
