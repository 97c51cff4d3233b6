# What `cmake --install` copies; DESTDIR and --prefix work as usual.

set(packaging ${CMAKE_SOURCE_DIR}/packaging)
set(systemd_units lib/systemd/system)

configure_file(${packaging}/systemd/rgate.service.in ${CMAKE_BINARY_DIR}/rgate.service @ONLY)

install(TARGETS rgate RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${packaging}/man/rgate.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${packaging}/completions/rgate.bash RENAME rgate
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${packaging}/completions/rgate.zsh RENAME _rgate
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${packaging}/completions/rgate.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES ${CMAKE_BINARY_DIR}/rgate.service ${packaging}/systemd/rgate.socket
        DESTINATION ${systemd_units})
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/README.md
              ${CMAKE_SOURCE_DIR}/docs/config.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
