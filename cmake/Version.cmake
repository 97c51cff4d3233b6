# The version comes from project(); no date and no host name goes into the binary.
add_compile_definitions(RG_VERSION="${PROJECT_VERSION}")
