#include "push/socket_admission.h"
